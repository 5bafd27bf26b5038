//! The built binary on real servers: PostgreSQL and RabbitMQ. What is asserted is what they hold, never our own structs.

mod chaos;
mod site;
