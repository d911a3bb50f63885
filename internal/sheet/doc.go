// Package sheet writes tables for people who open them in a spreadsheet: CSV row by row, and XLSX. It knows nothing of what
// they say. What is a text stays one: no cell becomes a formula, and no zero in front is lost.
package sheet
