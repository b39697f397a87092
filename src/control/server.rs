//! The serve's side of the control socket.
