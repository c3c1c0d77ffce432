//! What the operator is told, said on change and never on every attempt. `docs/notices.md` lists them.

/// How much a notice matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Info,
    Warning,
    Error,
}

/// One thing to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub code: NoticeCode,
    /// What and where: `"/var/log/app.log" was truncated; 120 bytes were not read`.
    pub message: String,
    /// The cure, where there is one.
    pub hint: Option<String>,
}

macro_rules! notices {
    ($($(#[doc = $doc:literal])+ $variant:ident = $code:literal $level:ident,)+) => {
        /// The closed list of what Floe says.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum NoticeCode { $($(#[doc = $doc])+ $variant,)+ }

        impl NoticeCode {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }

            #[must_use]
            pub const fn level(self) -> Level {
                match self { $(Self::$variant => Level::$level),+ }
            }

            /// One sentence for an operator.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_start()),+ }
            }
        }
    };
}

notices! {
    /// A file is followed from now on.
    FileFound = "file_found" Info,
    /// A followed file has another name now. Of one that is read to its end only the first is told.
    FileRenamed = "file_renamed" Info,
    /// A followed file is gone, read to its end.
    FileEnded = "file_ended" Info,
    /// A followed file became shorter, or was written anew.
    FileTruncated = "file_truncated" Info,
    /// A file cannot be opened or read.
    FileUnreadable = "file_unreadable" Error,
    /// A file that could not be read can be read again.
    FileReadable = "file_readable" Info,
    /// A compressed file is damaged or cut off; what is behind that place is not billed.
    FileDamaged = "file_damaged" Error,
    /// Datagrams were dropped: the spool was full, or one was too large.
    LinesDropped = "lines_dropped" Error,
    /// Bytes that were known to be there vanished before they were read.
    BytesMissed = "bytes_missed" Error,
    /// Lines are held back, and rotation will delete a file that nobody has read.
    RotationThreatens = "rotation_threatens" Error,
    /// A file may be a copy of another one; it is held until they differ or the other one goes.
    IdentityAmbiguous = "identity_ambiguous" Warning,
    /// A file that was held is followed now.
    IdentityResolved = "identity_resolved" Info,
    /// Lines were quarantined.
    LinesQuarantined = "lines_quarantined" Warning,
    /// Lines with a timestamp in the future of Polar's clock wait until they are due.
    FutureHeld = "future_held" Info,
    /// The quarantine is full or cannot be written; reading is held back.
    QuarantineBlocked = "quarantine_blocked" Error,
    /// The quarantine can be written again.
    QuarantineUnblocked = "quarantine_unblocked" Info,
    /// The checkpoint cannot be saved; Floe goes on and tries again.
    CheckpointUnsaved = "checkpoint_unsaved" Error,
    /// The checkpoint can be saved again.
    CheckpointSaved = "checkpoint_saved" Info,
    /// Polar refuses the token, the path or the version: everything is held.
    PolarRefuses = "polar_refuses" Error,
    /// Polar cannot be reached or fails: everything is held and tried again.
    PolarUnreachable = "polar_unreachable" Warning,
    /// Polar takes events again.
    PolarAccepts = "polar_accepts" Info,
    /// Polar's rate limit was met; Floe waits as long as Polar says.
    RateLimited = "rate_limited" Warning,
    /// A batch was split because Polar refused it as a whole.
    BatchSplit = "batch_split" Warning,
    /// Polar already had events that Floe never sent before: ids collide or another instance reads the same file.
    UnexpectedDuplicates = "unexpected_duplicates" Error,
    /// The host's clock and Polar's differ by more than a second.
    ClockDiffers = "clock_differs" Warning,
    /// Some folders cannot be watched; changes there are found by the sweep alone.
    WatchLimited = "watch_limited" Warning,
    /// All folders are watched again.
    WatchComplete = "watch_complete" Info,
    /// More files have something to read than may be open at once; some wait.
    DescriptorsShort = "descriptors_short" Warning,
    /// No file waits for a descriptor any more.
    DescriptorsEnough = "descriptors_enough" Info,
    /// A spool holds as much as it may: writers wait, datagrams are dropped.
    SpoolFull = "spool_full" Warning,
    /// A spool has room again.
    SpoolHasRoom = "spool_has_room" Info,
    /// A spool cannot be written: nothing is acknowledged, and writers wait.
    SpoolUnwritable = "spool_unwritable" Error,
    /// A spool can be written again.
    SpoolWritable = "spool_writable" Info,
    /// The end of a spool was cut off: a crash had left it half written, and nobody had been told that it was durable.
    SpoolCut = "spool_cut" Info,
    /// The spool holds lines of a source that the config does not name.
    SpoolOrphaned = "spool_orphaned" Warning,
    /// A part of a spool is billed and cannot be removed.
    SegmentKept = "segment_kept" Warning,
    /// Floe listens on a socket.
    SocketOpen = "socket_open" Info,
    /// A socket, or the standard input, takes nothing in.
    SocketFailing = "socket_failing" Error,
    /// The service manager passed a socket that no source names.
    SocketUnknown = "socket_unknown" Warning,
    /// A user who is not among `allowed_uids` tried to write.
    WriterRefused = "writer_refused" Warning,
    /// The config was read again and has a fault; nothing changes.
    ReloadRefused = "reload_refused" Error,
    /// New settings are in force.
    Reloaded = "reloaded" Info,
    /// The daemon reads its files to where they end now, brings home what it has read, and ends.
    Draining = "draining" Info,
    /// The checkpoint was lost or damaged; files are read again from the start, which costs requests, not money.
    CheckpointLost = "checkpoint_lost" Warning,
}
