package cli_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/internal/schemadoctest"
)

// The page, as it is written for the schema on MySQL, in a real browser.
func TestPage(t *testing.T) {
	t.Parallel()
	open := startBrowser(t)
	for name, test := range map[string]func(*testing.T, *browser){
		"fetches nothing and complains of nothing": pageFetchesNothingAndComplainsOfNothing,
		"shows the table that is chosen":           pageShowsTheTableThatIsChosen,
		"is used by keyboard":                      pageIsUsedByKeyboard,
		"opens at the table of its address":        pageOpensAtTheTableOfItsAddress,
		"opens tables that are named as its parts": pageOpensTablesThatAreNamedAsItsParts,
		"tells what is known of a table":           pageTellsWhatIsKnownOfATable,
		"fits a phone":                             pageFitsAPhone,
		"is readable in light and dark":            pageIsReadableInLightAndDark,
		"is a document without its script":         pageIsADocumentWithoutItsScript,
		"fits its window and is zoomed":            pageFitsItsWindowAndIsZoomed,
		"is zoomed by wheel and moved by dragging": pageIsZoomedByWheelAndMovedByDragging,
		"finds tables and columns":                 pageFindsTablesAndColumns,
		"of any size fits a phone":                 pageOfAnySizeFitsAPhone,
		"moves nothing for those who ask for that": pageMovesNothingForThoseWhoAskForThat,
		"names itself and its parts":               pageNamesItselfAndItsParts,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func pageFetchesNothingAndComplainsOfNothing(t *testing.T, b *browser) {
	b.visit("#sessions")
	b.click(`nav a[data-table="users"]`)
	assert.Equal(t, []string{b.page + "#sessions"}, b.requested())
	assert.Empty(t, b.complaints())
	b.eval(`new Promise((done) => {
		addEventListener("securitypolicyviolation", (e) => done(e.violatedDirective));
		const i = document.createElement("img");
		i.src = "https://example.com/i.png";
		document.body.append(i);
	})`, "img-src")
}

func pageShowsTheTableThatIsChosen(t *testing.T, b *browser) {
	b.visit("")
	b.eval(`getComputedStyle(document.documentElement).scrollBehavior`, "auto")
	b.eval(shown, "otp_stripes otps refresh_tokens sessions users")
	b.click(`.graph a[data-table="sessions"] .head`)
	b.eval(shown, "sessions")
	b.eval(`location.hash`, "#sessions")
	b.eval(`document.activeElement.textContent`, "sessions")
	b.eval(`[...document.querySelectorAll("[aria-current]")].map((e) => e.tagName + " " + e.dataset.table).join(", ")`,
		"A sessions, a sessions")
	b.eval(`[...document.querySelectorAll(".relation.current title")].map((e) => e.textContent).join()`,
		"sessions (user_id) refers to users (id)")
	b.eval(`document.querySelector("section.current h2").getBoundingClientRect().top < innerHeight`, true)
	b.press(kb.Escape)
	b.eval(shown, "otp_stripes otps refresh_tokens sessions users")
	b.click(`nav a[data-table="otps"]`)
	b.eval(shown, "otps")
	assert.Empty(t, b.complaints())
}

func pageIsUsedByKeyboard(t *testing.T, b *browser) {
	b.visit("")
	b.tabTo(`nav a[data-table="users"]`)
	b.press(kb.Enter)
	b.eval(shown, "users")
	b.press(kb.Escape)
	b.tabTo(`.graph a[data-table="refresh_tokens"]`)
	b.eval(`getComputedStyle(document.activeElement.querySelector(".edge")).strokeWidth`, "2px")
	b.press(kb.Enter)
	b.eval(shown, "refresh_tokens")
	b.tabTo(`section.current ul.cards details:not([open]) summary`)
	b.press(kb.Enter)
	b.eval(`document.activeElement.parentElement.open`, true)
}

func pageOpensAtTheTableOfItsAddress(t *testing.T, b *browser) {
	for _, table := range []string{"users", "otps"} {
		b.visit("#" + table)
		b.eval(shown, table)
	}
	b.visit("#no%20such%table")
	b.eval(shown, "otp_stripes otps refresh_tokens sessions users")
	assert.Empty(t, b.complaints())
}

func pageOpensTablesThatAreNamedAsItsParts(t *testing.T, b *browser) {
	url := mysqltest.MySQL(t)
	for _, table := range []string{"`graph`", "`tables`"} {
		_, err := mysqltest.DB(t, url).Exec("CREATE TABLE " + table + " (id int PRIMARY KEY)")
		require.NoError(t, err)
	}
	b.page = writePage(t, url, url)
	for _, table := range []string{"graph", "tables"} {
		b.visit("#" + table)
		b.eval(shown, table)
		// By keyboard: the page is still scrolling to the table, and a click would miss.
		b.tabTo("nav a.all")
		b.press(kb.Enter)
		b.eval(shown, "graph tables")
		b.tabTo(`nav a[data-table="` + table + `"]`)
		b.press(kb.Enter)
		b.eval(shown, table)
		b.press(kb.Escape)
		b.eval(shown, "graph tables")
	}
	assert.Empty(t, b.complaints())
}

func pageTellsWhatIsKnownOfATable(t *testing.T, b *browser) {
	b.visit("#sessions")
	const index = `[...document.querySelectorAll("#sessions ul.cards > li")].
		find((e) => e.innerText.includes("session_user_id_is_active_last_used_at"))`
	b.eval(index+`.querySelector(".title").innerText`,
		"session_user_id_is_active_last_used_at (user_id, is_active, last_used_at)")
	b.eval(index+`.querySelectorAll(".queries li").length`, 8.0)
	b.eval(index+`.textContent.includes("list sessions")`, true)
	b.eval(`document.querySelector("#sessions tbody").rows.length`, 13.0)
	b.eval(`[...document.querySelector("#sessions tbody").rows].find((r) => r.innerText.startsWith("token_hash")).
		innerText.replace(/\n/g, "").split("\t").join("|")`, "token_hash|UK|varchar(255)|not null||ascii_bin")
	b.eval(`[...document.querySelectorAll("#refresh_tokens pre")].map((e) => e.textContent.split(" (")[0]).join("; ")`,
		"CREATE TABLE `refresh_tokens`; ALTER TABLE `refresh_tokens` ADD COLUMN `grace_uses` int NOT NULL DEFAULT 0;; "+
			"ALTER TABLE `refresh_tokens` ADD COLUMN `family` varchar(32) CHARSET ascii NULL COLLATE ascii_bin, "+
			"ADD COLUMN `successor_salt` varchar(64) CHARSET ascii NULL COLLATE ascii_bin;; "+
			"ALTER TABLE `refresh_tokens` ADD INDEX `refreshtoken_family_is_revoked`")
}

func pageFitsAPhone(t *testing.T, b *browser) {
	b.do(chromedp.EmulateViewport(375, 812, chromedp.EmulateMobile))
	for _, at := range []string{"", "#users", "#sessions", "#refresh_tokens", "#otps"} {
		b.visit(at)
		b.eval(`innerWidth`, 375.0)
		b.eval(`document.querySelectorAll("details").forEach((d) => { d.open = true; }),
		document.documentElement.scrollWidth <= innerWidth`, true)
		b.picture("phone" + strings.TrimPrefix(at, "#"))
	}
	b.eval(`document.querySelector("#otps .wide").scrollWidth > document.querySelector("#otps .wide").clientWidth`,
		true)
}

func pageIsReadableInLightAndDark(t *testing.T, b *browser) {
	grounds := map[string]bool{}
	for _, scheme := range []string{"light", "dark"} {
		media := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}
		call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: media})
		for _, at := range []string{"", "#users"} {
			b.visit(at)
			b.eval(`document.querySelectorAll("details").forEach((d) => { d.open = true; }), `+faint, "")
			b.picture(scheme + strings.TrimPrefix(at, "#"))
		}
		grounds[evaluate[string](b, `getComputedStyle(document.body).backgroundColor +
			getComputedStyle(document.querySelector(".card")).fill`)] = true
	}
	assert.Len(t, grounds, 2, "dark is not light")
}

func pageIsADocumentWithoutItsScript(t *testing.T, b *browser) {
	call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.visit("#users")
	b.eval(shown, "otp_stripes otps refresh_tokens sessions users")
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"})
	b.eval(shown, "otp_stripes otps refresh_tokens sessions users")
	b.eval(`document.querySelector("nav").checkVisibility()`, false)
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{})
	b.page = shopPage(t, schemadoctest.Most)
	b.visit("")
	b.eval(`document.querySelectorAll("[data-live]").length > 0 &&
		[...document.querySelectorAll("[data-live]")].every((e) => !e.checkVisibility())`, true)
	b.eval(`(({ width, height }, f) => width === f.scrollWidth && height > 1000 && getComputedStyle(f).overflowX)(
		document.querySelector(".graph").getBoundingClientRect(), document.querySelector(".frame"))`, "auto")
	b.eval(wide, "")
}

const (
	// shown are the tables whose sections can be seen.
	shown = `[...document.querySelectorAll("section.table")].
		filter((s) => s.checkVisibility()).map((s) => s.id).join(" ")`
	// faint are the texts whose contrast with what is behind them is below 4.5 (WCAG 2, success criterion 1.4.3).
	faint = `(() => {
		const rgb = (c) => c.match(/[\d.]+/g).map(Number);
		const light = (c) => {
			const [r, g, b] = rgb(c).map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
			return 0.2126 * r + 0.7152 * g + 0.0722 * b;
		};
		const ground = (e) => {
			if (e.closest("svg")) {
				return getComputedStyle(e.parentElement.querySelector(e.matches(".name") ? ".head" : ".card")).fill;
			}
			for (; e; e = e.parentElement) {
				const c = getComputedStyle(e).backgroundColor;
				if (rgb(c)[3] !== 0) return c;
			}
			return "rgb(255, 255, 255)";
		};
		const texts = [...document.querySelectorAll("body *")].filter((e) =>
			!e.matches("script, title, desc") && e.checkVisibility() &&
			[...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()));
		if (texts.length < 100) return "only " + texts.length + " texts were found";
		return texts.map((e) => {
			const style = getComputedStyle(e);
			const [a, b] = [light(e.closest("svg") ? style.fill : style.color), light(ground(e))].sort((a, b) => b - a);
			return [(a + 0.05) / (b + 0.05), e];
		}).filter(([ratio]) => ratio < 4.5).map(([ratio, e]) =>
			ratio.toFixed(2) + " " + e.tagName + "." + e.className + " " + e.textContent.slice(0, 30)).join("\n");
	})()`
)

const (
	withoutChromium = "AUTHGRAPH_TEST_WITHOUT_CHROMIUM"
	// pictures is a folder that the tests leave pictures of the page in, for people to look at.
	pictures = "AUTHGRAPH_TEST_PICTURES"
)

// browser is a tab of a browser.
type browser struct {
	t    *testing.T
	ctx  context.Context
	page string

	mu       sync.Mutex
	requests []string
	said     []string
}

// startBrowser starts one, without a network, and returns how to open a tab of it.
func startBrowser(t *testing.T) func(*testing.T) *browser {
	t.Helper()
	if os.Getenv(withoutChromium) == "1" {
		t.Skip("left out, because " + withoutChromium + "=1")
	}
	page := writePage(t, mysqltest.MySQL(t), "schema")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(findChromium(t)),
		chromedp.NoSandbox, // as root there is none; the page is our own
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND"),
		chromedp.Flag("force-prefers-reduced-motion", true), // a click in a page that still scrolls goes elsewhere
	)...)
	t.Cleanup(cancel)
	first, cancel := chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	require.NoError(t, chromedp.Do(first))
	return func(t *testing.T) *browser {
		t.Helper()
		tab, cancel := chromedp.NewContext(first)
		t.Cleanup(cancel)
		b := &browser{t: t, ctx: tab, page: page}
		require.NoError(t, chromedp.Listen(tab, b.listen))
		call(b, log.Enable, cdp.Empty{})
		call(b, network.Enable, network.EnableParams{})
		return b
	}
}

// findChromium is the path of Chromium, or of a browser made from it.
func findChromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatalf("no Chromium is on PATH: install it (on Debian: apt-get install chromium), or leave its tests out "+
		"with %s=1", withoutChromium)
	return ""
}

// writePage writes the page of a source and returns its address.
func writePage(t *testing.T, database, source string) string {
	t.Helper()
	r := start(t, installed(t), database, "inspect", source, "--format", "html", "--out", "page.html")
	require.NoError(t, r.Run(), "stderr: %s", &r.stderr)
	return (&url.URL{Scheme: "file", Path: filepath.Join(r.Dir, "page.html")}).String()
}

// listen notes what the page asks the network for and what the browser complains of.
func (b *browser) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if !strings.HasPrefix(e.Request.URL, "data:") {
			b.requests = append(b.requests, e.Request.URL+e.Request.URLFragment)
		}
	case *runtime.EventExceptionThrown:
		b.said = append(b.said, e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		b.said = append(b.said, fmt.Sprint(e.Type, len(e.Args)))
	case *log.EventEntryAdded:
		b.said = append(b.said, e.Entry.Text)
	}
}

func (b *browser) requested() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.requests
}

func (b *browser) complaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.said
}

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	require.NoError(b.t, chromedp.Do(b.ctx, steps...))
}

func call[P, R any](b *browser, command cdp.Command[P, R], params P) {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, command, params)
	require.NoError(b.t, err)
}

// visit loads the page anew at a place in it.
func (b *browser) visit(at string) {
	b.t.Helper()
	b.do(chromedp.Navigate("about:blank"), chromedp.Navigate(b.page+at), chromedp.WaitReady(chromedp.CSS("footer")))
}

func (b *browser) click(selector string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS(selector)))
}

func (b *browser) press(key string) {
	b.t.Helper()
	b.do(chromedp.KeyEvent(key))
}

// tabTo presses Tab until the element has the focus.
func (b *browser) tabTo(selector string) {
	b.t.Helper()
	for range 60 {
		b.press(kb.Tab)
		if evaluate[bool](b, "document.activeElement.matches(`"+selector+"`)") {
			return
		}
	}
	b.t.Fatalf("Tab does not lead to %s", selector)
}

// eval waits until an expression has a value in the page.
func (b *browser) eval(expression string, want any) {
	b.t.Helper()
	var got any
	deadline := time.Now().Add(10 * time.Second)
	for {
		got = evaluate[any](b, expression)
		if assert.ObjectsAreEqual(want, got) || time.Now().After(deadline) {
			break
		}
	}
	assert.Equal(b.t, want, got, expression)
}

func evaluate[T any](b *browser, expression string) T {
	b.t.Helper()
	value, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	require.NoError(b.t, err, expression)
	return value
}

// picture leaves a picture of the page where pictures are asked for.
func (b *browser) picture(name string) {
	b.t.Helper()
	folder := os.Getenv(pictures)
	if folder == "" {
		return
	}
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	require.NoError(b.t, err)
	require.NoError(b.t, os.WriteFile(filepath.Join(folder, name+".png"), png, 0o644))
}
