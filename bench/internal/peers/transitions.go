package peers

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/go-sql-driver/mysql"

	"github.com/authgraph/authgraph"
	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/internal/mysqlconn"
	"github.com/authgraph/authgraph/internal/testserver"
)

// Transition is a call of package auth that changes an account, or what it needs and leaves behind.
type Transition struct {
	Name string
	// steps says that a second step is needed to sign in.
	steps bool
	arm   func(ctx context.Context, s *auth.Service, p *Person) error
	call  func(ctx context.Context, s *auth.Service, p *Person) error
}

// Person is somebody to whom a transition happens, once.
type Person struct {
	// Email is that of the account, which is there unless the transition makes it.
	Email  string
	user   *auth.User
	ticket auth.Token
	grant  *auth.Grant
	issued *auth.Issued
	// armed is what was sent to make them.
	armed script
}

func (p *Person) values() []driver.Value { return append([]driver.Value{p.Email}, p.armed.values()...) }

func (p *Person) device() auth.Device {
	return auth.Device{IP: device.IP, UserAgent: device.UserAgent, Origin: p.Email}
}

func (p *Person) identity() auth.Identity {
	return auth.Identity{Provider: schematype.ProviderGoogle, Subject: p.Email, Email: p.Email, EmailVerified: true}
}

const first, second = "correct-horse-battery-staple", "incorrect-horse-battery-staple"

// The parts of what a transition needs.
type arming func(ctx context.Context, s *auth.Service, p *Person) error

func registered(ctx context.Context, s *auth.Service, p *Person) (err error) {
	p.user, p.ticket, err = s.Register(ctx, "Ada", p.Email, first)
	return err
}

func issued(kind schematype.OTPType) arming {
	return func(ctx context.Context, s *auth.Service, p *Person) (err error) {
		p.issued, err = s.IssueCode(ctx, auth.CodeRequest{
			Email: p.Email, Kind: kind, Device: p.device(), Ticket: p.ticket,
		})
		return err
	}
}

func verified(ctx context.Context, s *auth.Service, p *Person) error {
	if err := issued(schematype.OTPEmailVerification)(ctx, s, p); err != nil {
		return err
	}
	return s.VerifyEmail(ctx, auth.Verification{Ticket: p.issued.Ticket, Code: p.issued.Code})
}

func signedIn(ctx context.Context, s *auth.Service, p *Person) (err error) {
	p.grant, err = s.SignIn(ctx, p.Email, first, p.device())
	return err
}

func suspended(ctx context.Context, s *auth.Service, p *Person) error {
	return s.Suspend(ctx, p.user.ID, time.Now().Add(time.Hour))
}

func halfway(ctx context.Context, s *auth.Service, p *Person) error {
	_, err := s.SignIn(ctx, p.Email, first, p.device())
	var step *auth.SecondStepError
	if !errors.As(err, &step) {
		return refused(err)
	}
	p.ticket = step.Ticket
	return nil
}

func linked(ctx context.Context, s *auth.Service, p *Person) error {
	return s.LinkProvider(ctx, p.grant.Token, p.identity())
}

func after(parts ...arming) arming {
	return func(ctx context.Context, s *auth.Service, p *Person) error {
		for _, part := range parts {
			if err := part(ctx, s, p); err != nil {
				return err
			}
		}
		return nil
	}
}

// failing expects an error.
func failing(want error, call arming) arming {
	return func(ctx context.Context, s *auth.Service, p *Person) error {
		if err := call(ctx, s, p); !errors.Is(err, want) {
			return refused(err)
		}
		return nil
	}
}

var account = after(registered, verified)

// SignInRead is the transition that ends after a sign-in has read the account and counted nothing.
const SignInRead = "sign in to a suspended account"

// Transitions are those of docs/auth.md, but for [Ops], what an administrator does, and their rarer forms.
var Transitions = []Transition{
	{Name: "register", arm: after(), call: registered},
	{Name: "verify an address", arm: after(registered, issued(schematype.OTPEmailVerification)),
		call: func(ctx context.Context, s *auth.Service, p *Person) error {
			return s.VerifyEmail(ctx, auth.Verification{Ticket: p.issued.Ticket, Code: p.issued.Code})
		}},
	{Name: "sign in", arm: account, call: signedIn},
	{Name: "sign in on a known device", arm: after(account, signedIn),
		call: func(ctx context.Context, s *auth.Service, p *Person) error {
			d := p.device()
			d.Token = p.grant.Token
			_, err := s.SignIn(ctx, p.Email, first, d)
			return err
		}},
	{Name: "sign in with a wrong password", arm: account, call: failing(auth.ErrCredentials,
		func(ctx context.Context, s *auth.Service, p *Person) error {
			_, err := s.SignIn(ctx, p.Email, second, p.device())
			return err
		})},
	{Name: SignInRead, arm: after(account, suspended), call: failing(auth.ErrCredentials, signedIn)},
	{Name: "ask for a code", arm: account, call: issued(schematype.OTPSignIn)},
	{Name: "verify a code", arm: after(account, issued(schematype.OTPSignIn)),
		call: func(ctx context.Context, s *auth.Service, p *Person) error {
			return s.VerifyCode(ctx, schematype.OTPSignIn, p.issued.Ticket, p.issued.Code)
		}},
	{Name: "sign in by a code", arm: after(account, issued(schematype.OTPSignIn)),
		call: func(ctx context.Context, s *auth.Service, p *Person) error {
			_, err := s.SignInWithCode(ctx, p.issued.Ticket, p.issued.Code, p.device())
			return err
		}},
	{Name: "first of two steps", steps: true, arm: account, call: halfway},
	{Name: "second step", steps: true, arm: after(account, halfway),
		call: func(ctx context.Context, s *auth.Service, p *Person) error {
			_, err := s.FinishWithFactor(ctx, p.ticket, "", p.device())
			return err
		}},
	{Name: "sign in with a provider", arm: after(account, signedIn, linked),
		call: func(ctx context.Context, s *auth.Service, p *Person) error {
			_, err := s.SignInWithProvider(ctx, p.identity(), p.device())
			return err
		}},
	{Name: "link a provider", arm: after(account, signedIn), call: linked},
	{Name: "rotate a token", arm: after(account, signedIn),
		call: func(ctx context.Context, s *auth.Service, p *Person) error {
			_, _, err := s.Rotate(ctx, p.grant.Refresh)
			return err
		}},
	{Name: "renew a session", arm: after(account, signedIn),
		call: func(ctx context.Context, s *auth.Service, p *Person) error {
			_, err := s.Renew(ctx, p.grant.Refresh, p.device())
			return err
		}},
	{Name: "change the password", arm: after(account, signedIn),
		call: func(ctx context.Context, s *auth.Service, p *Person) error {
			_, err := s.ChangePassword(ctx, p.user.ID, first, second, p.device())
			return err
		}},
	{Name: "reset the password", arm: after(account, signedIn, issued(schematype.OTPPasswordReset)),
		call: func(ctx context.Context, s *auth.Service, p *Person) error {
			_, err := s.ResetPassword(ctx, p.issued.Ticket, p.issued.Code, second)
			return err
		}},
	{Name: "sign out", arm: after(account, signedIn),
		call: func(ctx context.Context, s *auth.Service, p *Person) error {
			_, err := s.SignOut(ctx, p.grant.Token)
			return err
		}},
	{Name: "end all sessions", arm: after(account, signedIn, signedIn),
		call: func(ctx context.Context, s *auth.Service, p *Person) error {
			_, err := s.RevokeAll(ctx, p.user.ID)
			return err
		}},
	{Name: "delete the account", arm: after(account, signedIn),
		call: func(ctx context.Context, s *auth.Service, p *Person) error {
			_, err := s.Delete(ctx, p.user.ID)
			return err
		}},
}

// people numbers all that are made, so that no address comes twice.
var people atomic.Int64

// Stage is where transitions happen, in both ways.
type Stage struct {
	services [2]*auth.Service // without and with a second step
	scribes  chan *scribe
	hand     *sql.DB
	stmts    prepared
	close    []func()
}

// scribe is a service whose statements are recorded. One caller at a time.
type scribe struct {
	recorder *recorder
	services [2]*auth.Service
}

// OpenStage opens so many connections for each way. Rows that are made from then on have ids that nothing else is
// equal to.
func OpenStage(ctx context.Context, url string, connections int) (_ *Stage, err error) {
	g := &Stage{scribes: make(chan *scribe, connections), stmts: prepared{}}
	defer func() {
		if err != nil {
			g.Close()
		}
	}()
	client, err := authgraph.Open(ctx, url,
		authgraph.WithPool(authgraph.Pool{MaxOpen: connections, MaxLifetime: time.Hour}))
	if err != nil {
		return nil, err
	}
	g.close = append(g.close, func() { _ = client.Close() })
	if g.services, err = both(client); err != nil {
		return nil, err
	}
	config, err := testserver.Config(url)
	if err != nil {
		return nil, err
	}
	config.InterpolateParams, config.ClientFoundRows = true, true
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	g.hand = sql.OpenDB(connector)
	g.hand.SetMaxOpenConns(connections)
	g.hand.SetMaxIdleConns(connections)
	g.close = append(g.close, func() { g.hand.Close() })
	for _, table := range []string{"users", "sessions", "refresh_tokens", "otps"} {
		text := fmt.Sprintf("ALTER TABLE %s AUTO_INCREMENT = %d", table, leastID)
		if _, err := g.hand.ExecContext(ctx, text); err != nil {
			return nil, err
		}
	}
	for range connections {
		r := &recorder{Connector: connector}
		client := ent.NewClient(ent.Driver(entsql.OpenDB(dialect.MySQL, sql.OpenDB(mysqlconn.New(r, time.Minute)))))
		g.close = append(g.close, func() { _ = client.Close() })
		services, err := both(client)
		if err != nil {
			return nil, err
		}
		g.scribes <- &scribe{r, services}
	}
	return g, nil
}

func both(client *ent.Client) (services [2]*auth.Service, err error) {
	for i := range services {
		config := AuthConfig()
		config.OTP.ResendCooldown = time.Microsecond // a person asks for two codes without a wait
		if i == 1 {
			config.SecondStep.Required = func(context.Context, *auth.User) (bool, error) { return true, nil }
			config.SecondStep.Factor = anyAnswer{}
		}
		if services[i], err = auth.New(client, config); err != nil {
			return services, err
		}
	}
	return services, nil
}

type anyAnswer struct{}

func (anyAnswer) Verify(context.Context, *auth.User, string) (bool, error) { return true, nil }

// Close closes all connections.
func (g *Stage) Close() {
	for _, f := range g.close {
		f()
	}
}

func (t *Transition) of(services [2]*auth.Service) *auth.Service {
	if t.steps {
		return services[1]
	}
	return services[0]
}

// Passage is a transition that can be gone through in two ways.
type Passage struct {
	stage      *Stage
	transition *Transition
	template   template
	known      int // how many values of a person
}

// Learn has the transition happen to some people, and learns from the last one. What a service does once, it does for
// those before.
func (g *Stage) Learn(ctx context.Context, t *Transition) (*Passage, error) {
	p := &Passage{stage: g, transition: t}
	for same := 0; same < 2*cap(g.scribes); same++ {
		before := p.known
		if err := p.learn(ctx); err != nil {
			return nil, err
		}
		if p.known != before {
			same = 0 // a transaction was repeated, for instance
		}
	}
	return p, p.prepare(ctx)
}

func (p *Passage) learn(ctx context.Context) error {
	s := <-p.stage.scribes
	defer func() { p.stage.scribes <- s }()
	who, err := s.arm(ctx, p.transition)
	if err != nil {
		return err
	}
	known, began := who.values(), time.Now()
	if err := p.transition.call(ctx, p.transition.of(s.services), who); err != nil {
		return err
	}
	p.known, p.template = len(known), learn(known, s.recorder.take(), began)
	return nil
}

func (p *Passage) prepare(ctx context.Context) error {
	for _, step := range p.template {
		if step.text == begin || step.text == commit || p.stage.stmts[step.text] != nil {
			continue
		}
		stmt, err := p.stage.hand.PrepareContext(ctx, step.text) //nolint:sqlclosecheck // it lives as long as the pool
		if err != nil {
			return err
		}
		p.stage.stmts[step.text] = stmt
	}
	return nil
}

func (s *scribe) arm(ctx context.Context, t *Transition) (*Person, error) {
	p := &Person{Email: fmt.Sprintf("person%d@example.com", people.Add(1))}
	s.recorder.take()
	err := t.arm(ctx, t.of(s.services), p)
	p.armed = s.recorder.take()
	return p, err
}

// Arm makes a new person to whom the transition can happen. Many may be made at once.
func (p *Passage) Arm(ctx context.Context) (*Person, error) {
	s := <-p.stage.scribes
	defer func() { p.stage.scribes <- s }()
	for {
		who, err := s.arm(ctx, p.transition)
		if err != nil || len(who.values()) == p.known {
			return who, err
		}
		// Something was repeated, and the values are not at their places.
	}
}

// ByAuth has the transition happen by package auth.
func (p *Passage) ByAuth(ctx context.Context, who *Person) error {
	return p.transition.call(ctx, p.transition.of(p.stage.services), who)
}

// ByHand has it happen by the statements that package auth sends, each prepared once. Nothing is decided: it only sees
// that as many rows are read and changed. No way of writing it can do less. As there, a deadlock begins it again.
func (p *Passage) ByHand(ctx context.Context, who *Person) error {
	for {
		err := p.template.play(ctx, p.stage.hand, p.stage.stmts, who.values())
		if !mysqlconn.IsServer(err, 1213) {
			return err
		}
	}
}

// Statements are what is sent, in short, BEGIN and COMMIT too.
func (p *Passage) Statements() (verbs []string) {
	for _, step := range p.template {
		verb, _, _ := strings.Cut(step.text, " ")
		verbs = append(verbs, verb)
	}
	return verbs
}
