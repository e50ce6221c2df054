package auth

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql"

	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/otp"
	"github.com/authgraph/authgraph/ent/predicate"
)

// This file limits the mails to an address and from an origin. Each row of otps stands for one, whatever its purpose.

// addMail adds the row of a mail, which has no code yet, and returns it with the mails within the window, its own
// first. It is a [*TooSoonError] if a limit does not allow for the mail.
//
// Each call looks at the mails before. If they leave room, it waits for its turn, adds its own and looks again: calls
// for one address, or from one origin, come one after the other. The second look also waits for mails that a program of
// the version before, which takes no turns, has not committed. A call that is refused at once has waited for nobody,
// and locked nothing.
func (s *Service) addMail(
	ctx context.Context, tx *ent.Client, req CodeRequest, by *asker, ticket Token,
) (added *ent.OTP, all mails, err error) {
	now := s.now()
	mail := &ent.OTP{
		Email: req.Email, OriginHash: s.originOf(req.Device, by), IsKnownDevice: by.device != 0 || by.reader != 0,
		CreatedAt:           now,
		NextResendAllowedAt: cut(now.Add(s.cfg.OTP.ResendCooldown)),
	}
	seen, err := s.mailsBefore(ctx, tx, mail, asSeen)
	if err != nil {
		return nil, all, err
	}
	if at := s.nextMail(mail, seen); at.After(now) {
		return nil, all, &TooSoonError{RetryAt: at}
	}
	if err := s.takeTurn(ctx, tx, mail); err != nil {
		return nil, all, err
	}
	add := tx.OTP.Create().
		SetEmail(mail.Email).SetType(req.Kind).SetTicketHash(ticket.hash()).SetOtpHashCode(noCode).
		SetNextResendAllowedAt(mail.NextResendAllowedAt).SetExpiresAt(cut(now.Add(s.cfg.OTP.Lifetime))).
		SetMaxAttempts(int32(s.cfg.OTP.MaxAttempts)).
		SetNillableOriginHash(mail.OriginHash).SetIsKnownDevice(mail.IsKnownDevice).
		SetCreatedAt(now)
	if by.party != nil {
		add.SetRequestedBy(by.party.ID).SetTrustEpoch(by.party.TrustEpoch)
	}
	if by.step != "" {
		add.SetFirstStep(by.step)
	}
	if added, err = add.Save(ctx); err != nil {
		return nil, all, fmt.Errorf("add a code: %w", input(err))
	}
	before, err := s.mailsBefore(ctx, tx, added, forUpdate)
	if err != nil {
		return nil, all, err
	}
	if at := s.nextMail(added, before); at.After(now) {
		return nil, all, &TooSoonError{RetryAt: at}
	}
	return added, before.with(added), nil
}

// isLast reports whether no stranger may ask for a mail after m, which is one of all. It must then be a link, so that
// the owner of the address has one to show while strangers use the mails up.
func (s *Service) isLast(m *ent.OTP, all mails) bool {
	n := 0
	for _, mail := range all.toAddress {
		if !mail.IsKnownDevice {
			n++
		}
	}
	return !m.IsKnownDevice && n >= s.cfg.OTP.Budget
}

// originOf is the hash of where a mail is asked for; nil if that is not known. A known device is an origin of its own,
// and so is a link.
func (s *Service) originOf(d Device, by *asker) *string {
	origin := d.origin()
	switch {
	case by.device != 0:
		origin = fmt.Sprintf("device %d", by.device)
	case by.reader != 0:
		origin = fmt.Sprintf("mail %d", by.reader)
	}
	if origin == "" {
		return nil
	}
	h := hmac.New(sha256.New, s.cfg.Keys.reveal()[0])
	_, _ = fmt.Fprintf(h, "origin\x00%s", origin)
	hash := hex.EncodeToString(h.Sum(nil))
	return &hash
}

// origin is Origin or its default.
func (d Device) origin() string {
	if d.Origin != "" {
		return d.Origin
	}
	addr := d.addr()
	switch {
	case !addr.IsValid():
		return ""
	case addr.Is4():
		return addr.String()
	}
	return netip.PrefixFrom(addr, 64).Masked().String()
}

// mails are those within the window before one, the newest first: to its address, and from its origin.
type mails struct{ toAddress, fromOrigin []*ent.OTP }

func (b mails) with(m *ent.OTP) mails {
	return mails{append([]*ent.OTP{m}, b.toAddress...), append([]*ent.OTP{m}, b.fromOrigin...)}
}

// takeTurn waits for other calls for the address of a mail, or from its origin if that has a limit, until they have
// ended. Where several servers take writes, it waits for those of its own only: of calls on two servers, the cluster
// rolls one back at its COMMIT, because both wrote a row.
func (s *Service) takeTurn(ctx context.Context, tx *ent.Client, m *ent.OTP) error {
	stripes := []any{stripeOf("address", m.Email)}
	if hasOrigin(m) {
		stripes = append(stripes, stripeOf("origin", *m.OriginHash))
		// In one order everywhere, so that no two wait for each other.
		slices.SortFunc(stripes, func(a, b any) int { return cmp.Compare(a.(int), b.(int)) })
		stripes = slices.Compact(stripes)
	}
	_, err := execute(ctx, tx, s.turns[len(stripes)-1], stripes...)
	return wrap(err, "wait for other mails")
}

// turnQueries are the statements of takeTurn for one stripe and for two.
func turnQueries(dialectName string) (queries [2]string) {
	again := ` ON DUPLICATE KEY UPDATE turn = turn + 1`
	if dialectName == dialect.SQLite {
		again = ` ON CONFLICT (id) DO UPDATE SET turn = turn + 1`
	}
	for i, rows := range []string{`(?, 1)`, `(?, 1), (?, 1)`} {
		queries[i] = `INSERT INTO otp_stripes (id, turn) VALUES ` + rows + again
	}
	return queries
}

func stripeOf(kind, of string) int {
	hash := sha256.Sum256([]byte(kind + "\x00" + of))
	return int(binary.BigEndian.Uint16(hash[:]))
}

// hasOrigin reports whether a mail counts for its origin. A known device has no limit as one.
func hasOrigin(m *ent.OTP) bool { return m.OriginHash != nil && !m.IsKnownDevice }

func (s *Service) mailsBefore(
	ctx context.Context, tx *ent.Client, m *ent.OTP, lock func(*sql.Selector),
) (before mails, err error) {
	find := func(which predicate.OTP) ([]*ent.OTP, error) {
		q := tx.OTP.Query().
			Where(
				which, otp.IDNEQ(m.ID), otp.OtpHashCodeNEQ(noCode),
				otp.CreatedAtGT(m.CreatedAt.Add(-s.cfg.OTP.BudgetWindow)),
				otp.CreatedAtLTE(m.CreatedAt.Add(ClockTolerance)),
			).
			Order(ent.Desc(otp.FieldCreatedAt))
		q.Modify(lock)
		return q.Select(otp.FieldID, otp.FieldCreatedAt, otp.FieldNextResendAllowedAt, otp.FieldOriginHash,
			otp.FieldIsKnownDevice).All(ctx)
	}
	before.toAddress, err = find(otp.Email(m.Email))
	if err == nil && hasOrigin(m) {
		before.fromOrigin, err = find(otp.OriginHash(*m.OriginHash))
	}
	return before, wrap(err, "count mails")
}

// nextMail is when the mails before allow for one like m.
func (s *Service) nextMail(m *ent.OTP, before mails) (next time.Time) {
	p := s.cfg.OTP
	until := func(mail *ent.OTP) time.Time { return mail.CreatedAt.Add(p.BudgetWindow) }
	atMost := func(n int, mails []*ent.OTP) {
		if len(mails) >= n {
			next = later(next, until(mails[n-1]))
		}
	}
	var peers, same []*ent.OTP
	for _, mail := range before.toAddress {
		if mail.IsKnownDevice != m.IsKnownDevice {
			continue
		}
		peers = append(peers, mail)
		if equal(mail.OriginHash, m.OriginHash) {
			same = append(same, mail)
		}
	}
	if m.IsKnownDevice {
		atMost(p.DeviceBudget, peers)
	} else {
		atMost(p.Budget, peers)
		if m.OriginHash != nil {
			atMost((p.Budget+1)/2, same)
			atMost(p.OriginBudget, before.fromOrigin)
		}
	}
	if len(same) > 0 {
		wait := same[0].NextResendAllowedAt
		if end := until(same[0]); wait.After(end) {
			wait = end // nobody waits longer, whatever the row says
		}
		next = later(next, wait)
	}
	return next.UTC()
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func equal(a, b *string) bool {
	return a == b || a != nil && b != nil && *a == *b
}
