/// What is wrong, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub fault: String,
    pub remedy: String,
    /// Whether events would be lost or refused, so that serve does not start.
    pub is_fatal: bool,
}

impl Finding {
    pub(super) fn fatal(fault: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            fault: fault.into(),
            remedy: remedy.into(),
            is_fatal: true,
        }
    }

    pub(super) fn warning(fault: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            is_fatal: false,
            ..Self::fatal(fault, remedy)
        }
    }
}

/// Why there is no answer from a broker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    /// There may be one later.
    #[error("{0}")]
    Passing(String),
    /// The broker is spoken to in the wrong way, or does not let this client in; waiting does not mend it.
    #[error("{}; {}", .0.fault, .0.remedy)]
    Setup(Finding),
}

impl Trouble {
    /// Says of which broker it is.
    pub(super) fn at(self, address: &str) -> Self {
        match self {
            Self::Passing(reason) => Self::Passing(format!("{address}: {reason}")),
            Self::Setup(finding) => Self::Setup(Finding {
                fault: format!("{address}: {}", finding.fault),
                ..finding
            }),
        }
    }
}
