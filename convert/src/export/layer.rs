//! Which layer of a system a frame is of, for formats that colour by it.

use rz_profile::model::{FrameKind, Location, Runtime};

/// Whose code runs in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Layer {
    /// What is none of the others, such as what is missing of a stack.
    Other,
    Native,
    Kernel,
    Jit,
    Python,
    JavaScript,
    Java,
    /// Another runtime's.
    Runtime,
    /// No code: why the thread did not run, or what it asked the kernel for.
    Reason,
}

impl Layer {
    pub(super) const ALL: [Layer; 9] = [
        Layer::Other,
        Layer::Native,
        Layer::Kernel,
        Layer::Jit,
        Layer::Python,
        Layer::JavaScript,
        Layer::Java,
        Layer::Runtime,
        Layer::Reason,
    ];

    pub(super) fn of(location: &Location) -> Layer {
        match location.kind {
            FrameKind::User => Layer::Native,
            FrameKind::Kernel => Layer::Kernel,
            FrameKind::Jit => Layer::Jit,
            FrameKind::Runtime(runtime) => match runtime {
                Runtime::CPython => Layer::Python,
                Runtime::V8 => Layer::JavaScript,
                Runtime::HotSpot => Layer::Java,
                Runtime::Go | Runtime::Other | Runtime::Unknown => Layer::Runtime,
            },
            FrameKind::Truncated | FrameKind::Lost => Layer::Other,
            FrameKind::Reason(_) => Layer::Reason,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Layer::Other => "Other",
            Layer::Native => "Native",
            Layer::Kernel => "Kernel",
            Layer::Jit => "JIT",
            Layer::Python => "Python",
            Layer::JavaScript => "JavaScript",
            Layer::Java => "Java",
            Layer::Runtime => "Runtime",
            Layer::Reason => "Waits and calls",
        }
    }

    /// Whether it is the code of a runtime, by its source.
    pub(super) fn is_of_runtime(self) -> bool {
        matches!(self, Layer::Python | Layer::JavaScript | Layer::Java | Layer::Runtime)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_in_the_order_of_their_numbers() {
        for (number, layer) in Layer::ALL.into_iter().enumerate() {
            assert_eq!(layer as usize, number);
        }
    }
}
