//! Carries an [`Errand`] out: posts what it wants posted, and brings it the answers.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::client::{Client, Reply};
use super::daemon::{Clock, random_seed};
use super::logs;
use crate::agent::{Counted, Effect, Errand, ErrandLine, ErrandVerdict, Now, RequestId};
use crate::config::settings::DeliverySettings;

/// An errand under way.
pub struct Courier {
    errand: Errand,
    client: Arc<Client>,
    clock: Clock,
    replies: UnboundedSender<(RequestId, Reply)>,
    arrived: UnboundedReceiver<(RequestId, Reply)>,
}

impl Courier {
    /// Within a Tokio runtime. Nothing is sent before [`Courier::get_ready`].
    #[must_use]
    pub fn new(client: Client, delivery: DeliverySettings, give_up_after: Duration) -> Self {
        let clock = Clock::start();
        let errand = Errand::new(delivery, give_up_after, clock.now(), random_seed());
        let (replies, arrived) = unbounded_channel();
        Self { errand, client: Arc::new(client), clock, replies, arrived }
    }

    /// Asks for Polar's clock.
    ///
    /// # Errors
    /// Why it was given up.
    pub async fn get_ready(&mut self) -> Result<(), String> {
        self.run().await;
        self.given_up().map_or(Ok(()), |why| Err(why.to_owned()))
    }

    /// What time it is, and Polar's.
    #[must_use]
    pub fn polar_now(&self) -> jiff::Timestamp {
        self.errand.polar_now(self.now())
    }

    /// Sends the lines and gives their verdicts, in their order.
    pub async fn deliver(&mut self, lines: Vec<ErrandLine>) -> Vec<ErrandVerdict> {
        let numbers = self.errand.load(self.now(), lines);
        self.run().await;
        let mut verdicts = self.errand.take_verdicts();
        verdicts.sort_by_key(|(number, _)| *number);
        assert_eq!(verdicts.len() as u64, numbers.end - numbers.start, "each line has one verdict");
        verdicts.into_iter().map(|(_, verdict)| verdict).collect()
    }

    /// Why it was given up, once it is.
    #[must_use]
    pub fn given_up(&self) -> Option<&str> {
        self.errand.given_up()
    }

    #[must_use]
    pub fn counted(&self) -> Counted {
        self.errand.counted()
    }

    fn now(&self) -> Now {
        self.clock.now()
    }

    async fn run(&mut self) {
        loop {
            while let Some(effect) = self.errand.poll() {
                self.perform(effect);
            }
            if self.errand.is_done() {
                return;
            }
            let now = self.now();
            let due = self.errand.deadline(now).and_then(|moment| self.clock.instant(moment));
            let due = due.expect("an errand that is not done gives up in the end");
            match tokio::time::timeout_at(due.into(), self.arrived.recv()).await {
                Ok(reply) => {
                    let (request, Reply { outcome, polar_clock }) = reply.expect("a sender is held here");
                    self.errand.answered(self.now(), request, outcome, polar_clock);
                }
                Err(_) => self.errand.tick(self.now()),
            }
        }
    }

    fn perform(&self, effect: Effect) {
        match effect {
            Effect::Post { request, body } => {
                let (client, replies) = (Arc::clone(&self.client), self.replies.clone());
                tokio::spawn(async move {
                    // Nobody waits for it any more once the errand is over.
                    let _ = replies.send((request, client.post(body).await));
                });
            }
            Effect::Tell(notice) => logs::say(&notice),
            other => unreachable!("an errand only posts and tells: {other:?}"),
        }
    }
}
