//! The queue over RabbitMQ: what is delivered is a hint, the row decides.

use super::Attune;
use super::broker::closed;
use super::consumer::Receipt;
use super::messages::Letter;
use crate::control_plane::{Announced, Announcements, Delivery, GivenUp, Look, Notice, Orphan, Queue};
use crate::error::Result;
use crate::model::{Event, WorkerId};

impl Queue for Attune {
    type Receipt = Receipt;

    async fn declare(&self, worker: WorkerId) -> Result<()> {
        self.shared.broker.subscribe(worker, self.shared.prefetch).await
    }

    async fn next_dispatch(&self, _worker: WorkerId) -> Result<Delivery<Receipt>> {
        let mut dispatches = self.shared.dispatches.lock().await;
        dispatches.recv().await.ok_or_else(closed)
    }

    async fn next_notice(&self, _worker: WorkerId) -> Result<Notice> {
        let mut notices = self.shared.notices.lock().await;
        notices.recv().await.ok_or_else(closed)
    }

    async fn ack(&self, receipt: Receipt) -> Result<()> {
        receipt.ack().await
    }

    async fn reject(&self, receipt: Receipt) -> Result<()> {
        receipt.reject().await
    }

    async fn hand_back(&self, given_up: &mut GivenUp<Receipt>) -> Result<Option<Orphan>> {
        self.give_back(given_up).await
    }

    async fn retire(&self, worker: WorkerId) -> Result<()> {
        self.give_up_queue(worker).await
    }

    async fn rescue(&self, worker: WorkerId, look: Look) -> Result<()> {
        self.ask_again(worker, look).await
    }

    async fn leave(&self, worker: WorkerId) -> Result<()> {
        self.shared.broker.remove_queues(worker).await
    }
}

impl Announcements for Attune {
    fn announce(&self, events: Vec<Event>) -> Announced {
        let now = self.now();
        let mut last = None;
        for event in events {
            last = Some(self.shared.publisher.post(Letter::event(&event, now)));
        }
        match last {
            // Letters are confirmed in their order: with the last, all are.
            Some(last) => Announced::when(async move { last.await.is_ok() }),
            None => Announced::safe(),
        }
    }
}
