//! The built binary on real servers: PostgreSQL and RabbitMQ. What is asserted is what they hold, never our own structs.

mod chaos;
mod claims;
mod commands;
mod dispatch;
mod drain;
mod environments;
mod hostile;
mod messages;
mod outages;
mod registration;
mod runtimes;
mod secrecy;
mod site;
mod tls;
mod topology;
mod twins;
mod wire;
