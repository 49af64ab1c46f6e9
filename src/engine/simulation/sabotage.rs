//! Deliberate breaks of the design: each must be found by the invariants, or they prove nothing.

/// One rule of the design that is broken, in the servers or on the way to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// A commit overwrites whatever the checkpoint says.
    SkipCompareAndSet,
    /// A commit is compared by its number alone.
    SkipEpochCheck,
    /// Taking a line over does not count the epoch up, so that the former owner can go on.
    ForgetEpochBump,
    /// What a commit says goes to the publisher before the commit.
    PublishBeforeCommit,
    /// Reading begins at the end of the log. (At the group's offset would do no harm: a lane passes over what its
    /// checkpoint has read.)
    SeekToTheEnd,
    /// Timer decisions are not stored.
    DropTimers,
    /// A new owner does not publish what the former left in the outbox.
    ForgetTheOutbox,
    /// A new owner publishes all of the outbox, whatever the group says.
    RepublishAll,
    /// An unanswered commit to the database is taken as done.
    UnansweredIsDone,
    /// An unanswered Kafka commit is taken as done.
    UnansweredIsPublished,
    /// An unanswered Kafka commit is tried again without asking.
    PublishAgainBlindly,
    /// Records are visible before their transaction ends, and if it is taken back.
    PublishWithoutTransaction,
    /// A revocation does not wait for the publish in flight, and Kafka does not look at the generation.
    RevokeAtOnce,
    /// Kafka's answer about progress does not wait for transactions in doubt.
    AskInDoubt,
    /// A commit's outbox row is not kept.
    LoseTheOutbox,
    /// A new owner does not read the recent detections.
    EmptyTail,
    /// The checkpoint moves in a transaction of its own, before the rows.
    TwoTransactions,
    /// Commands are taken up but not marked as done.
    ForgetCommands,
    /// No break of the design but of Kafka: of some transactions that have ended the group's offsets do not hear. It
    /// delays, and does no harm.
    LoseEnds,
    /// No break of the design but of Kafka: the group forgets its offsets, again and again. It does no harm.
    ForgetOffsets,
}

impl Sabotage {
    pub const ALL: [Sabotage; 18] = [
        Sabotage::SkipCompareAndSet,
        Sabotage::SkipEpochCheck,
        Sabotage::ForgetEpochBump,
        Sabotage::PublishBeforeCommit,
        Sabotage::SeekToTheEnd,
        Sabotage::DropTimers,
        Sabotage::ForgetTheOutbox,
        Sabotage::RepublishAll,
        Sabotage::UnansweredIsDone,
        Sabotage::UnansweredIsPublished,
        Sabotage::PublishAgainBlindly,
        Sabotage::PublishWithoutTransaction,
        Sabotage::RevokeAtOnce,
        Sabotage::AskInDoubt,
        Sabotage::LoseTheOutbox,
        Sabotage::EmptyTail,
        Sabotage::TwoTransactions,
        Sabotage::ForgetCommands,
    ];

    /// Whether a commit without records may be published twice: nothing shows that it was.
    pub fn hides_the_idle(self) -> bool {
        matches!(self, Sabotage::LoseEnds | Sabotage::ForgetOffsets)
    }
}
