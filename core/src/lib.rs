//! The words that everyone uses: time, names, quantities, luck, actions, journal records, problems.
