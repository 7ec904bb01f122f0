//! Records live processes into rz traces.
