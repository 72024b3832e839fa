//! Whether every watch has listed its objects.

use tokio::sync::watch;

/// Counts the watches that have listed their objects once.
#[derive(Debug)]
pub struct Listings {
    expected: usize,
    listed: watch::Sender<usize>,
}

impl Listings {
    /// `expected` is the number of watches.
    pub fn new(expected: usize) -> Self {
        Self { expected, listed: watch::Sender::new(0) }
    }

    /// Notes that one watch has listed its objects for the first time.
    pub fn note(&self) {
        self.listed.send_modify(|listed| *listed += 1);
    }

    /// Whether every watch has listed its objects.
    pub fn are_complete(&self) -> bool {
        *self.listed.borrow() >= self.expected
    }

    /// Returns when every watch has listed its objects. Before that, an object that exists looks as if it were gone.
    pub async fn complete(&self) {
        // It fails only when the sender is dropped, and `self` owns the sender.
        drop(self.listed.subscribe().wait_for(|listed| *listed >= self.expected).await);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn several_waiters_see_the_last_listing() {
        let listings = Listings::new(2);
        listings.note();
        let (mut first, mut second) = (Box::pin(listings.complete()), Box::pin(listings.complete()));
        assert_eq!((first.as_mut().now_or_never(), second.as_mut().now_or_never()), (None, None));
        listings.note();
        assert_eq!((first.now_or_never(), second.now_or_never()), (Some(()), Some(())));
    }
}
