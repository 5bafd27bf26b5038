//! The agent in real containers: put there as a pod puts it there, on real servers.

mod cells;
mod dist;
mod first_process;
mod foreign;
mod hostile;
mod image_volume;
mod kubernetes;
mod loader;
mod matrix;
mod packs;
mod roots;
mod site;
