package main

import (
	"bytes"
	"os"
	"testing"
)

func TestTheFileIsWhatTheProgramWrites(t *testing.T) {
	t.Parallel()
	committed, err := os.ReadFile("../sites.csv")
	if err != nil {
		t.Fatal(err)
	}
	var written bytes.Buffer
	if err := write(&written); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(written.Bytes(), committed) {
		t.Error("sites.csv isn't what this program writes: go generate ./examples/korea-2021")
	}
}
