// For what several tests share, or none.

/** Like a test's context: what is to be done `after` is done by `end()`. */
export function scope() {
  const ends = [];
  return {
    after: (end) => { ends.unshift(end); },
    async end() {
      for (const end of ends) await end();
    },
  };
}
