//! Which interpreters does this container have, which version, and how do we know?
