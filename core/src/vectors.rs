//! The widest vectors that this machine has.

use std::sync::LazyLock;

use pulp::Arch;

static WIDEST: LazyLock<Arch> = LazyLock::new(Arch::new);

/// What runs a closure as code for the widest vectors of this machine. What it computes must not depend on which those are:
/// integers, and floats one operation after the other as written.
#[inline]
pub(crate) fn widest() -> Arch {
    *WIDEST
}
