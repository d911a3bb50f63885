// Package rig is what measuring needs around what is measured: private stores that write as safely as a deployment's, a
// campaign that everybody may book in, people with sessions and admissions, servers in processes of their own, and the
// accounts of who used how much of the machine.
//
// It never makes a store faster by making it forget: fsync, synchronous commits and full-page writes stay on.
package rig
