// Package slot holds the places themselves: their capacity, what remains of it, and holds (step 4 of a request).
//
// Postgres owns the slots; Redis keeps a versioned copy of each and the live holds, and answers one question, "may you
// try?", fast enough for a stampede. There is no counter anywhere: remaining is computed as capacity − booked − live
// holds, so nothing can drift or leak. Whatever happens to Redis, a booking is decided by package booking in Postgres.
//
// The package never judges a person and never makes a booking durable.
package slot
