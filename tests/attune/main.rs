//! The built binary on real servers: PostgreSQL and RabbitMQ. What is asserted is what they hold, never our own structs.

mod chaos;
mod claims;
mod dispatch;
mod drain;
mod hostile;
mod messages;
mod outages;
mod registration;
mod site;
mod topology;
mod twins;
mod wire;
