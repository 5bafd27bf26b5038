//! Nothing: the model is the test beside this. It is a package of its own so that it can be optimized alone, whatever else is
//! built for tests.
