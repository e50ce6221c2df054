package measure

import (
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
)

// Trips is a relay to a server that counts round trips: how often the server answers after the client has sent. What a
// client sends without waiting, such as the closing of a statement, is part of the next trip.
type Trips struct {
	// URL is that of the server, by way of the relay.
	URL string

	listener net.Listener
	count    atomic.Int64
	pipes    sync.WaitGroup
}

// Relay listens on the loopback for the server of serverURL.
func Relay(serverURL string) (*Trips, error) {
	u, err := url.Parse(serverURL)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := u.Host
	u.Host = listener.Addr().String()
	t := &Trips{URL: u.String(), listener: listener}
	t.pipes.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			t.pipes.Go(func() { t.relay(client, server) })
		}
	})
	return t, nil
}

// Count is how many round trips there were so far.
func (t *Trips) Count() int { return int(t.count.Load()) }

// Close ends the relay, once the client has closed its connections.
func (t *Trips) Close() error {
	err := t.listener.Close()
	t.pipes.Wait()
	return err
}

func (t *Trips) relay(client net.Conn, address string) {
	defer client.Close()
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer server.Close()
	var asked atomic.Bool
	var both sync.WaitGroup
	both.Go(func() {
		defer server.Close()
		_, _ = io.Copy(server, seen{client, func() { asked.Store(true) }})
	})
	both.Go(func() {
		defer client.Close()
		_, _ = io.Copy(client, seen{server, func() {
			if asked.Swap(false) {
				t.count.Add(1)
			}
		}})
	})
	both.Wait()
}

// seen calls then after every read that gave something.
type seen struct {
	io.Reader
	then func()
}

func (s seen) Read(b []byte) (int, error) {
	n, err := s.Reader.Read(b)
	if n > 0 {
		s.then()
	}
	return n, err
}
