package auth

import (
	"context"
	"sync"
	"time"

	"github.com/authgraph/authgraph/ent/session"
)

// maxTouches is how many writes of last_used_at may be under way. Beyond it a write
// is left to the session's next request. A write is given up after touchTimeout.
const (
	maxTouches   = 16
	touchTimeout = 5 * time.Second
)

// toucher writes last_used_at in the background, so that requests do not wait.
type toucher struct {
	s      *Service
	mu     sync.Mutex
	active map[int]bool
	closed bool
	group  sync.WaitGroup
}

func (t *toucher) init(s *Service) {
	t.s, t.active = s, make(map[int]bool)
}

func (t *toucher) later(sessionID int, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || t.active[sessionID] || len(t.active) >= maxTouches {
		return
	}
	t.active[sessionID] = true
	t.group.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), touchTimeout)
		defer cancel()
		// Of several replicas the first one writes. After a failure the next request tries again.
		_ = t.s.client.Session.Update().
			Where(
				session.ID(sessionID), session.IsActive(true),
				session.LastUsedAtLTE(now.Add(-t.s.cfg.Session.TouchInterval)),
			).
			SetLastUsedAt(now).
			Exec(ctx)
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.active, sessionID)
	})
}

func (t *toucher) close(ctx context.Context) error {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	done := make(chan struct{})
	go func() { t.group.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
