//! Adds up what is in stacks, each thing once for each stack however often it is in it.

/// Sums of things that are numbered.
pub(super) struct Seen {
    sums: Vec<u64>,
    /// The stack in which each was seen last.
    last: Vec<usize>,
    stack: usize,
}

impl Seen {
    /// No sums yet, of so many things.
    pub(super) fn new(things: usize) -> Self {
        Seen { sums: vec![0; things], last: vec![0; things], stack: 0 }
    }

    /// Another stack begins.
    pub(super) fn next_stack(&mut self) {
        self.stack += 1;
    }

    /// A thing is in the stack, which stands for so much.
    pub(super) fn add(&mut self, thing: usize, amount: u64) {
        if thing >= self.last.len() {
            self.last.resize(thing + 1, 0);
            self.sums.resize(thing + 1, 0);
        }
        if self.last[thing] != self.stack {
            self.last[thing] = self.stack;
            self.sums[thing] = self.sums[thing].saturating_add(amount);
        }
    }

    pub(super) fn sums(&self) -> &[u64] {
        &self.sums
    }
}
