//! The built binary on real servers: PostgreSQL and RabbitMQ. What is asserted is what they hold, never our own structs.

mod api_transport;
mod artifacts;
mod chaos;
mod claims;
mod commands;
mod dispatch;
mod drain;
mod environments;
mod fleet;
mod health;
mod hostile;
mod messages;
#[path = "../mixed_pack.rs"]
mod mixed_pack;
mod outages;
mod own_files;
mod registration;
mod results;
mod runtimes;
mod scaling;
mod secrecy;
mod secrets;
mod site;
mod stranded;
mod tls;
mod topology;
mod twins;
mod versions;
mod wire;
