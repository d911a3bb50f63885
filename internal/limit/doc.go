// Package limit bounds how often somebody asks, whoever they ask: a budget fills up evenly over time and may be used at once
// (GCRA). The counts are in Redis and may be lost; what costs money has its budgets in Postgres, see package identity.
package limit
