//! Everything in which a pod runs here otherwise than its manifest says, and why. What is not here is as it says.
//!
//! * **Network.** All pods of a cluster share one network, with loopback as its only device, and a service's name leads
//!   there: podman could give each pod an address of its own only by changing the machine's network. So the port of a
//!   service has to be that of its pods.
//! * **Images** cannot be pulled. Each has a stand-in with the same programs and the same contract (see `images`).
//! * **Seccomp.** `RuntimeDefault` is podman's own default.
//! * **Restarts.** A container that ends and should not have, or does not end well, is a failure and not started again,
//!   whatever `restartPolicy` says: a test wants to hear of it.
//! * Fields that ask for what nobody here could give are left out ([`LEFT_OUT`]).

use serde_json::{Map, Value};

/// Fields of pods and containers that are left out, and why.
const LEFT_OUT: &[(&str, &str)] = &[
    ("activeDeadlineSeconds", "the tests' own patience is less"),
    ("automountServiceAccountToken", "there is no API whose token it could be"),
    ("enableServiceLinks", "there are never variables for services here"),
    ("imagePullPolicy", "nothing can be pulled"),
    ("ports", "they tell readers; every port is open"),
    ("restartPolicy", "nothing is started again"),
    ("resources", "they tell a scheduler what fits, and there is one machine"),
];

/// The specification of a pod with nothing in it but what is obeyed.
pub(super) fn obeyed(spec: &Value) -> Value {
    let mut spec = spec.clone();
    let pod = spec.as_object_mut().expect("the specification of a pod");
    leave_out(pod);
    let containers = ["initContainers", "containers"];
    let lists = pod.iter_mut().filter(|(field, _)| containers.contains(&field.as_str()));
    for container in lists.filter_map(|(_, list)| list.as_array_mut()).flatten() {
        leave_out(container.as_object_mut().expect("a container"));
    }
    spec
}

fn leave_out(object: &mut Map<String, Value>) {
    for (field, _) in LEFT_OUT {
        object.remove(*field);
    }
}
