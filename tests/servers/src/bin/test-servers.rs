//! `cargo run -p test-servers`: a PostgreSQL and a RabbitMQ to try things with.
//!
//! It prints their URLs in the form that a shell reads, and ends them when it is interrupted, or its input ends.

#![expect(clippy::print_stdout, reason = "whoever runs it wants to read the URLs")]

use std::io::Read;

fn main() -> std::io::Result<()> {
    let servers = test_servers::Servers::shared();
    println!("DATABASE_URL={}", servers.database("attune"));
    println!("AMQP_URL={}", servers.virtual_host("attune").url());
    std::io::stdin().read_to_end(&mut Vec::new()).map(drop)
}
