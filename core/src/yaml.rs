//! Reading people's YAML.
