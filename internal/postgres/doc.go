// Package postgres opens the store that is the truth, migrates it and names its refusals. It knows no word of the
// domain: statements live with the package whose tables they touch.
package postgres
