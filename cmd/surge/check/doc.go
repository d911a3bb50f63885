// Package check says whether a run kept what the server promises, from what clients wrote down (package journal) and from
// what the tables and Redis say at rest. It trusts neither: a row that nobody asked for is as wrong as an answer without a
// row. It knows nothing of how the run was broken, but for what that excuses: Excuses.
package check
