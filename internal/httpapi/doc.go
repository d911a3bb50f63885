// Package httpapi speaks HTTP for the domain: one page of routes in the order of the journey, guards, problems, and
// handlers of four moves (bind, call, render, return the error). It is the only importer of the web framework and
// decides nothing about holds, bookings or people.
package httpapi

//go:generate go tool -modfile=../../tools/oapi-codegen.mod oapi-codegen -config ../../openapi/codegen.yaml ../../openapi/jari.yaml
