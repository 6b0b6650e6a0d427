//! Imports driven by Kafka, on real brokers.
