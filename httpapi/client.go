package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"rejot.dev/rejot"
)

// A Client asks a running program.
type Client struct {
	base string
	http http.Client
}

// NewClient makes a client of the program that listens at host:port.
func NewClient(hostport string) *Client {
	return &Client{base: "http://" + hostport, http: http.Client{
		Timeout:       5 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Status asks how the program stands. Code Transient where none answers.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	err := c.do(ctx, http.MethodGet, "/v1/status", &s)
	return s, err
}

// Resume tries a consumer again at once, or all where id is empty, and gives how many stood still.
func (c *Client) Resume(ctx context.Context, id string) (int, error) {
	var answer struct{ Resumed int }
	err := c.do(ctx, http.MethodPost, "/v1/resume?consumer="+url.QueryEscape(id), &answer)
	return answer.Resumed, err
}

const largestAnswer = 16 << 20

func (c *Client) do(ctx context.Context, method, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, nil)
	if err != nil {
		return rejot.Errorf(rejot.Invalid, "HTTP API: %w", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return rejot.Errorf(rejot.Transient, "no program answers at %s", c.base)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return rejot.Errorf(rejot.Internal, "%s %s answers %s", method, c.base+path, resp.Status)
	}
	body := io.LimitReader(resp.Body, largestAnswer)
	if err := json.NewDecoder(body).Decode(into); err != nil {
		return rejot.Errorf(rejot.Corrupt, "%s: %w", c.base+path, fmt.Errorf("answer: %w", err))
	}
	return nil
}
