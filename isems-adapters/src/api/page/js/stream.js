// The collector's events, as long as they are followed. An EventSource shows no
// comments: a connection that died silently would be followed for ever.

/** The collector gives a sign of life every 15 s; without any for so long, nobody is there. */
const SILENCE = 45_000;

/**
 * Events of the stream under their names, and of the connection: `open`; `lost`,
 * after which it is sought again; `refused`, after which it is not.
 */
export class Stream extends EventTarget {
  isOpen = false;

  #address;
  #attempt = null;
  #later = null;
  #closed = false;
  #retry = 5_000;
  #last = '';

  constructor(address) {
    super();
    this.#address = address;
    this.#connect();
  }

  close() {
    this.#closed = true;
    this.isOpen = false;
    clearTimeout(this.#later);
    this.#attempt.abort();
  }

  async #connect() {
    const attempt = new AbortController();
    this.#attempt = attempt;
    let watch = null;
    let silent = false;
    const alive = () => {
      clearTimeout(watch);
      watch = setTimeout(() => {
        silent = true;
        attempt.abort();
      }, SILENCE);
    };
    alive();
    let refused = false;
    try {
      const headers = { accept: 'text/event-stream', ...(this.#last === '' ? {} : { 'last-event-id': this.#last }) };
      const response = await fetch(this.#address, { headers, cache: 'no-store', signal: attempt.signal });
      refused = !response.ok;
      if (response.ok) await this.#read(response.body, alive);
    } catch {
      // However it ended, it has.
    }
    clearTimeout(watch);
    const wasOpen = this.isOpen;
    this.isOpen = false;
    if (this.#closed) return;
    if (refused || (silent && !wasOpen)) {
      this.close();
      this.dispatchEvent(new Event('refused'));
      return;
    }
    this.#later = setTimeout(() => this.#connect(), silent ? 0 : this.#retry);
    this.dispatchEvent(new Event('lost'));
  }

  async #read(body, alive) {
    this.isOpen = true;
    this.dispatchEvent(new Event('open'));
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    for (;;) {
      const { done, value } = await reader.read();
      if (done || this.#closed) return;
      alive();
      const blocks = (text + value).split('\n\n');
      text = blocks.pop();
      for (const block of blocks) this.#tell(block);
    }
  }

  #tell(block) {
    let name = 'message';
    const data = [];
    for (const line of block.split('\n')) {
      const [, field, value] = /^([^:]*):? ?([^]*)$/.exec(line);
      if (field === 'event') name = value;
      else if (field === 'data') data.push(value);
      else if (field === 'id') this.#last = value;
      else if (field === 'retry' && Number(value) > 0) this.#retry = Number(value);
    }
    if (data.length > 0) this.dispatchEvent(new MessageEvent(name, { data: data.join('\n') }));
  }
}
