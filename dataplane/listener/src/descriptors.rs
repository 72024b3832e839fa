//! The file descriptors of the process: listeners must leave some for databases, sinks and files.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the process's limit as far as it may itself, and returns it.
pub fn raised() -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return usize::MAX };
    let limit = match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(_) => soft,
    };
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// The most connections of one listener, of those that are configured: a quarter of the descriptors, so that three
/// listeners leave one for everything else.
pub fn share(configured: usize, descriptors: usize) -> usize {
    configured.min(descriptors / 4).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_listeners_leave_a_quarter_of_the_descriptors() {
        assert_eq!((share(2048, 256), share(2048, 1_048_576), share(64, 1024), share(64, 0)), (64, 2048, 64, 1));
    }
}
