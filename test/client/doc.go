// Package client is about the client in openapi/client as browsers and Node run it: its own tests, and whole ways through a
// waiting room in a real Chromium against a real server.
package client
