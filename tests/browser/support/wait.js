// Waiting for a condition, with a bound.

/** Asks every few milliseconds until the answer is truthy, and returns it. */
export async function until(what, ask, bound = 20_000) {
  const end = Date.now() + bound;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`waited ${bound} ms in vain: ${what}`);
    await new Promise((resolve) => { setTimeout(resolve, 25); });
  }
}
