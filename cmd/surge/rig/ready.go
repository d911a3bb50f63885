package rig

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// AwaitReady asks a server's inner listener until it says that it's ready.
func AwaitReady(ctx context.Context, p *Process) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for last := ""; ; {
		status, answer, err := get(ctx, p.Operations+"/readyz")
		if status == http.StatusOK {
			return nil
		}
		if err == nil {
			last = answer
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s isn't ready: %w; it said last: %s", p.Name, ctx.Err(), last)
		case <-tick.C:
		}
	}
}

func get(ctx context.Context, url string) (status int, answer string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	body, err := io.ReadAll(io.LimitReader(response.Body, 4096))
	return response.StatusCode, string(body), err
}
