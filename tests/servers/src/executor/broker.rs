//! The executor's connection: queues as Attune's executor declares them, requests one at a time, announcements.

use std::sync::{Arc, PoisonError};

use futures_util::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind};
use serde_json::{Value, json};

use super::schedule::Answer;
use super::{Announcement, PAUSE, Shared, say};

const EXCHANGE: &str = "attune.executions";

struct Queue {
    name: &'static str,
    key: &'static str,
}

const QUEUES: [Queue; 3] = [
    Queue { name: "attune.execution.requests.queue", key: "execution.requested" },
    Queue { name: "attune.execution.status.queue", key: "execution.status.changed" },
    Queue { name: "attune.execution.completed.queue", key: "execution.completed" },
];

impl Shared {
    /// One connection after the other, until the executor is dropped.
    pub(super) async fn run(self: Arc<Self>, ready: std::sync::mpsc::Sender<()>) {
        loop {
            let Err(error) = self.session(&ready).await else { return };
            self.publisher.send_replace(None);
            // The chaos that the tests make is expected here; what matters is asserted on the rows.
            say(&error);
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn session(self: &Arc<Self>, ready: &std::sync::mpsc::Sender<()>) -> Result<(), lapin::Error> {
        let connection = Connection::connect(&self.amqp, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        declare(&channel).await?;
        self.take_back_unconfirmed().await;
        self.publisher.send_replace(Some(channel));
        let mut consumers = Vec::new();
        for queue in QUEUES {
            let consuming = connection.create_channel().await?;
            consuming.basic_qos(100, BasicQosOptions::default()).await?;
            let options = BasicConsumeOptions::default();
            let consumer =
                consuming.basic_consume(queue.name.into(), "".into(), options, FieldTable::default());
            consumers.push(Arc::clone(self).listen(consumer.await?));
        }
        ready.send(()).ok();
        futures_util::future::select_all(consumers.into_iter().map(Box::pin)).await.0
    }

    /// One message after the other: the next one is looked at when this one is dealt with.
    async fn listen(self: Arc<Self>, mut consumer: lapin::Consumer) -> Result<(), lapin::Error> {
        while let Some(delivery) = consumer.next().await {
            let delivery = delivery?;
            let body: Value = serde_json::from_slice(&delivery.data).unwrap_or_default();
            let message_type = body["message_type"].as_str().unwrap_or_default().to_owned();
            let payload = &body["payload"];
            if message_type != "ExecutionRequested" {
                let announcement = Announcement { message_type, payload: payload.clone() };
                let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
                heard.push(announcement);
                self.count.send_replace(heard.len());
            } else if let Some(execution) =
                payload["execution_id"].as_i64().filter(|_| !self.options.only_listens)
                && self.answer(execution).await? == Answer::Rejected
            {
                self.rejected.lock().unwrap_or_else(PoisonError::into_inner).push(execution);
                delivery.nack(BasicNackOptions { requeue: false, multiple: false }).await?;
                continue;
            }
            delivery.ack(BasicAckOptions::default()).await?;
        }
        Err(std::io::Error::other("a consumer ended").into())
    }

    /// Publishes on the connection of now, and on each later one, until the broker has it.
    pub(super) async fn publish_at_last(&self, key: &str, message_type: &str, payload: &Value) {
        let mut publishers = self.publisher.subscribe();
        loop {
            let publisher =
                publishers.wait_for(Option::is_some).await.ok().and_then(|channel| channel.clone());
            let Some(channel) = publisher else { return };
            match publish(&channel, key, message_type, payload).await {
                Ok(()) => return,
                Err(error) => say(&error),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Publishes on the connection of now.
    pub(super) async fn publish_now(
        &self,
        key: &str,
        message_type: &str,
        payload: &Value,
    ) -> Result<(), lapin::Error> {
        let channel = self.publisher.borrow().clone();
        let channel = channel.ok_or_else(|| std::io::Error::other("there is no connection"))?;
        publish(&channel, key, message_type, payload).await
    }
}

async fn declare(channel: &Channel) -> Result<(), lapin::Error> {
    let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
    for (name, kind) in [(EXCHANGE, ExchangeKind::Topic), ("attune.dlx", ExchangeKind::Direct)] {
        channel.exchange_declare(name.into(), kind, durable, FieldTable::default()).await?;
    }
    for queue in QUEUES {
        let mut arguments = FieldTable::default();
        arguments.insert("x-dead-letter-exchange".into(), AMQPValue::LongString("attune.dlx".into()));
        let durable = QueueDeclareOptions { durable: true, ..Default::default() };
        channel.queue_declare(queue.name.into(), durable, arguments).await?;
        let options = QueueBindOptions::default();
        channel
            .queue_bind(queue.name.into(), EXCHANGE.into(), queue.key.into(), options, FieldTable::default())
            .await?;
    }
    Ok(())
}

async fn publish(
    channel: &Channel,
    key: &str,
    message_type: &str,
    payload: &Value,
) -> Result<(), lapin::Error> {
    let id = uuid::Uuid::new_v4().to_string();
    let body = json!({
        "message_id": id, "correlation_id": id, "message_type": message_type, "version": "1.0",
        "timestamp": "2026-01-02T03:04:05Z", "headers": {"retry_count": 0, "source_service": "executor"},
        "payload": payload,
    });
    let properties = BasicProperties::default()
        .with_delivery_mode(2)
        .with_content_type("application/json".into())
        .with_message_id(id.as_str().into());
    let options = BasicPublishOptions::default();
    let body = body.to_string();
    let confirm =
        channel.basic_publish(EXCHANGE.into(), key.into(), options, body.as_bytes(), properties).await?;
    if confirm.await?.is_ack() { Ok(()) } else { Err(std::io::Error::other("a message was refused").into()) }
}
