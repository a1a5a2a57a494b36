//! Facts about the running kernel, asked in batches.

/// The symbol an address lies in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symbol {
    /// As in /proc/kallsyms: a symbol of a module carries a tab and the module's name in brackets.
    pub name: String,
    /// The distance from the symbol's start; 0: an exact hit.
    pub offset: u64,
}

/// A table of pci.ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PciKind {
    /// By vendor id.
    Vendor,
    /// By vendor << 16 | device.
    Device,
    /// By class.
    Class,
    /// By class << 8 | subclass.
    Subclass,
}

/// What the host tells about its kernel. Answer i belongs to question i; None: not known (now).
///
/// In a component this is the imported `kernel` interface; tests take `testing::FakeKernel`.
pub trait Kernel {
    /// The nearest symbol at or below each address.
    fn symbols(&self, addresses: &[u64]) -> Vec<Option<Symbol>>;
    /// The absolute path of the cgroup (v2) with each id.
    fn cgroup_paths(&self, ids: &[u64]) -> Vec<Option<String>>;
    /// Network interfaces of the host's own network namespace, by index.
    fn interface_names(&self, indexes: &[u32]) -> Vec<Option<String>>;
    /// Block devices by the kernel's own number: minor in the low 20 bits, major above.
    fn block_devices(&self, devices: &[u32]) -> Vec<Option<String>>;
    /// The machine's architecture as `uname -m` has it: `x86_64`, `aarch64`.
    fn machine(&self) -> String;
    /// Names from pci.ids. None as a whole: this machine has none.
    fn pci_names(&self, kind: PciKind, ids: &[u32]) -> Option<Vec<Option<String>>>;
}

/// The answers to a batch of questions, each distinct question asked once.
///
/// A column names the same few interfaces or stack frames thousands of times; asking each once
/// keeps the call small.
#[derive(Debug)]
pub struct Answers<Q, A> {
    /// Ascending.
    questions: Vec<Q>,
    answers: Vec<Option<A>>,
}

/// Questions per call: large enough that the call's price does not matter, small enough for any
/// budget of the host.
const QUESTIONS_PER_CALL: usize = 16 * 1024;

impl<Q: Ord + Copy, A> Answers<Q, A> {
    /// Asks `ask` each of `questions` once, in one call (in a few if there are tens of thousands).
    pub fn ask(
        questions: impl IntoIterator<Item = Q>,
        mut ask: impl FnMut(&[Q]) -> Vec<Option<A>>,
    ) -> Self {
        let mut questions: Vec<Q> = questions.into_iter().collect();
        questions.sort_unstable();
        questions.dedup();
        let mut answers = Vec::with_capacity(questions.len());
        for chunk in questions.chunks(QUESTIONS_PER_CALL) {
            let mut some = ask(chunk);
            some.resize_with(chunk.len(), || None);
            answers.append(&mut some);
        }
        Self { questions, answers }
    }

    /// The answer to `question`; None also if it was never asked.
    pub fn get(&self, question: Q) -> Option<&A> {
        let index = self.questions.binary_search(&question).ok()?;
        self.answers.get(index)?.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_question_is_asked_once_and_short_answers_are_unknown() {
        let mut asked = Vec::new();
        let answers = Answers::ask([7_u32, 3, 7, 9], |questions| {
            asked.push(questions.to_vec());
            vec![Some("three"), None]
        });
        assert_eq!(asked, [[3, 7, 9]]);
        assert_eq!(answers.get(3), Some(&"three"));
        assert_eq!(
            (answers.get(7), answers.get(9), answers.get(1)),
            (None, None, None)
        );
    }

    #[test]
    fn nothing_is_asked_for_no_questions_and_many_come_in_chunks() {
        let mut calls = 0;
        let none = Answers::<u32, u32>::ask([], |_| unreachable!());
        assert_eq!(none.get(0), None);
        let many = Answers::ask(0..QUESTIONS_PER_CALL as u32 + 1, |questions| {
            calls += 1;
            questions
                .iter()
                .map(|&question| Some(question * 2))
                .collect()
        });
        assert_eq!(
            (calls, many.get(QUESTIONS_PER_CALL as u32)),
            (2, Some(&32768))
        );
    }
}
