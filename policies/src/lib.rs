//! What is done about it: alert rules, routing, policies, guards; the library of policies.
