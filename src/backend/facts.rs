//! What a backend declares about its store: the one source of the lane's limits, the doctor's words and the tables in
//! the docs.

use std::time::Duration;

/// What a resend does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delivery {
    /// The store recognises a record that it has already.
    EffectivelyOnce,
    /// A record may be stored twice when an answer got lost.
    AtLeastOnce,
    /// The store does not say whether it took a record.
    BestEffort,
}

impl Delivery {
    /// As the ledger's JSON has it, for instance `at_least_once`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EffectivelyOnce => "effectively_once",
            Self::AtLeastOnce => "at_least_once",
            Self::BestEffort => "best_effort",
        }
    }
}

/// How a token is shown to a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenAs {
    /// `Authorization: WORD TOKEN`, with this word.
    Authorization(&'static str),
    /// In a header of its own, of this name in lower case, bare.
    Header(&'static str),
    /// In the backend's own dialogue, see [`Backend::speech`](super::Backend::speech); it may stand beside a user and a
    /// password. On a connection any other way is no way: there a credential is refused at start.
    Speech,
}

/// What a backend declares about its store.
#[derive(Clone, Debug)]
pub struct Facts {
    name: &'static str,
    delivery: Delivery,
    batch_bytes: usize,
    batch_records: usize,
    in_flight: usize,
    gzip: bool,
    reply_bytes: usize,
    oldest: Option<Duration>,
    newest: Option<Duration>,
    reorder_within: Duration,
    replays_after: Option<Duration>,
    token: TokenAs,
    tenant: &'static str,
}

impl Facts {
    /// Facts of the backend `name`: at least once, batches of any size, no compression.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            delivery: Delivery::AtLeastOnce,
            batch_bytes: usize::MAX,
            batch_records: usize::MAX,
            in_flight: usize::MAX,
            gzip: false,
            reply_bytes: 64 * 1024,
            oldest: None,
            newest: None,
            reorder_within: Duration::MAX,
            replays_after: None,
            token: TokenAs::Authorization("Bearer"),
            tenant: "x-scope-orgid",
        }
    }

    /// What a resend does. Default: [`Delivery::AtLeastOnce`].
    #[must_use]
    pub const fn delivery(mut self, delivery: Delivery) -> Self {
        self.delivery = delivery;
        self
    }

    /// The most that one payload may cost, in the units of [`Backend::cost`](super::Backend::cost). Default: no limit.
    #[must_use]
    pub const fn batch_bytes(mut self, most: usize) -> Self {
        self.batch_bytes = most;
        self
    }

    /// The most records in one payload. Default: no limit.
    #[must_use]
    pub const fn batch_records(mut self, most: usize) -> Self {
        self.batch_records = most;
        self
    }

    /// The most requests under way at a time. Default: no limit but the user's.
    ///
    /// With 1 the order of arrival is that in which records were logged, which matters where the store keeps no time
    /// that is fine enough to sort by.
    #[must_use]
    pub const fn in_flight(mut self, most: usize) -> Self {
        self.in_flight = most;
        self
    }

    /// How old a record may be that the store still keeps. Default: no limit is known.
    ///
    /// Older ones are not sent; they are dropped as [`TooOld`](crate::Reason::TooOld), and told.
    #[must_use]
    pub const fn oldest(mut self, age: Duration) -> Self {
        self.oldest = Some(age);
        self
    }

    /// How far ahead of the store's clock a record may be. Default: no limit is known.
    ///
    /// It is shown by the doctor, which compares the clocks; records are sent all the same, as it is this machine's
    /// clock that is wrong then.
    #[must_use]
    pub const fn newest(mut self, ahead: Duration) -> Self {
        self.newest = Some(ahead);
        self
    }

    /// How much older than the newest record that the store has another one may be that it still takes. Default: any
    /// age.
    ///
    /// While a backlog drains, records that just came go before it only where the oldest one owed is within half of
    /// that. With zero, batches are begun in their order.
    #[must_use]
    pub const fn reorder_within(mut self, span: Duration) -> Self {
        self.reorder_within = span;
        self
    }

    /// How old a batch may be before it goes to a place of its own, in [`Mode::Replay`](super::Mode::Replay), as the store
    /// would refuse it where live records are by now. Default: any age.
    ///
    /// Records in that mode do not hold up those that just came, whatever [`reorder_within`](Self::reorder_within) says.
    #[must_use]
    pub const fn replays_after(mut self, age: Duration) -> Self {
        self.replays_after = Some(age);
        self
    }

    /// How a token is shown to the store. Default: `Authorization: Bearer TOKEN`.
    #[must_use]
    pub const fn token(mut self, token: TokenAs) -> Self {
        self.token = token;
        self
    }

    /// The header, in lower case, by which the store knows the tenant. Default: `x-scope-orgid`.
    #[must_use]
    pub const fn tenant(mut self, header: &'static str) -> Self {
        self.tenant = header;
        self
    }

    /// The payload may be compressed with gzip where the user asks for it. Default: no.
    #[must_use]
    pub const fn gzip(mut self) -> Self {
        self.gzip = true;
        self
    }

    /// The most bytes of a reply that are read, and kept for as long as it is judged. Default: 64 KiB.
    ///
    /// More is for stores that have something to say about each record; what is cut off says nothing of those that it was
    /// about, and the verdict must not count them as stored.
    #[must_use]
    pub const fn reply_bytes(mut self, most: usize) -> Self {
        self.reply_bytes = most;
        self
    }

    /// The backend's name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What a resend does.
    #[must_use]
    pub const fn delivers(&self) -> Delivery {
        self.delivery
    }

    pub(crate) const fn most_bytes(&self) -> usize {
        self.batch_bytes
    }

    pub(crate) const fn most_records(&self) -> usize {
        self.batch_records
    }

    pub(crate) const fn most_in_flight(&self) -> usize {
        self.in_flight
    }

    pub(crate) const fn oldest_age(&self) -> Option<Duration> {
        self.oldest
    }

    pub(crate) const fn newest_ahead(&self) -> Option<Duration> {
        self.newest
    }

    pub(crate) const fn reorders_within(&self) -> Duration {
        self.reorder_within
    }

    pub(crate) const fn replays_older_than(&self) -> Option<Duration> {
        self.replays_after
    }

    pub(crate) const fn token_as(&self) -> TokenAs {
        self.token
    }

    pub(crate) const fn tenant_header(&self) -> &'static str {
        self.tenant
    }

    pub(crate) const fn most_reply_bytes(&self) -> usize {
        self.reply_bytes
    }

    pub(crate) const fn takes_gzip(&self) -> bool {
        self.gzip
    }
}
