// Package table reads lists that administrators send: CSV in UTF-8 or CP949, and XLSX. It never guesses. Every cell is text:
// a spreadsheet's number where text is wanted is a bad row, because its leading zeros are gone already, and so is a date or a
// formula. A file that can't be read as a whole is refused with the line; a row that can't is given with what is wrong.
//
// The file is held in memory, bounded, and never on a disk: it may be a list of people. What the rows mean is the caller's.
package table
