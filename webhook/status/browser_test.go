//go:build browser

package status

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"tpa.dev/tpa/webhook/view"
)

// screens is where pictures are put, for people to look at.
const screens = "../../bin/status-page"

// browser is one tab of a headless Chromium.
type browser struct {
	*testing.T
	ctx     context.Context
	console func() []string
}

// open opens a tab. What the page writes to the console, refusals of its policy among it, fails the test.
func open(t *testing.T) browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox) // which root does not have
	allocator, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, end := chromedp.NewContext(allocator)
	t.Cleanup(end)
	b := browser{T: t, ctx: ctx}
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var said []string
	messages := chromedp.Console(ctx)
	go func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			mu.Lock()
			said = append(said, m.String())
			mu.Unlock()
		}
	}()
	b.console = func() []string {
		mu.Lock()
		defer mu.Unlock()
		return said
	}
	return b
}

func (b browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.Fatal(err)
	}
}

// value is what an expression evaluates to in the page.
func value[T any](b browser, expression string) T {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.Fatalf("%s: %v", expression, err)
	}
	return v
}

// until waits until an expression is true in the page. It asks from outside: the page's policy lets nothing be evaluated within.
func (b browser) until(expression string) {
	b.Helper()
	for end := time.Now().Add(20 * time.Second); !value[bool](b, expression); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			b.Fatalf("not within 20 s: %s", expression)
		}
	}
}

func (b browser) dark(yes bool) {
	b.Helper()
	scheme := "light"
	if yes {
		scheme = "dark"
	}
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	}); err != nil {
		b.Fatal(err)
	}
}

func (b browser) picture(name string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err == nil {
		err = os.MkdirAll(screens, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(screens, name+".png"), png, 0o644)
	}
	if err != nil {
		b.Fatal(err)
	}
}

// quiet checks that the page has written nothing to the console.
func (b browser) quiet() {
	b.Helper()
	if said := b.console(); len(said) > 0 {
		b.Errorf("the console says %s", said)
	}
}

func address(server *httptest.Server) string { return server.URL + "/" }

// contrast returns those texts whose colour is too near that of their ground (WCAG 2.2 AA: 4.5 to 1), and how many it looked at.
const contrast = `(() => {
	const parse = c => c.match(/[\d.]+/g).map(Number);
	const light = c => {
		const [r, g, b] = parse(c).map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
		return 0.2126 * r + 0.7152 * g + 0.0722 * b;
	};
	const ground = e => {
		for (; e; e = e.parentElement) {
			const c = getComputedStyle(e).backgroundColor;
			if (!/^rgba.*, 0\)$/.test(c)) return c;
		}
		return "rgb(255, 255, 255)";
	};
	const bad = [];
	let looked = 0;
	for (const e of document.body.querySelectorAll("*")) {
		if (![...e.childNodes].some(n => n.nodeType === Node.TEXT_NODE && n.data.trim())) continue;
		if (e.namespaceURI !== "http://www.w3.org/1999/xhtml" || !e.checkVisibility()) continue;
		looked++;
		const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => y - x);
		if ((a + 0.05) / (b + 0.05) < 4.5) bad.push(e.tagName + " " + e.textContent.trim().slice(0, 40));
	}
	return looked < 40 ? ["only " + looked + " texts"] : bad;
})()`

// TestBrowserColours: light and dark, by what the viewer prefers, and legible in both.
func TestBrowserColours(t *testing.T) {
	server := serve(t, reads(shop(time.Now())))
	b := open(t)
	b.do(chromedp.EmulateViewport(1280, 900))
	grounds := map[string]bool{}
	for _, dark := range []bool{false, true} {
		b.dark(dark)
		b.do(chromedp.Navigate(address(server)))
		value[chromedp.Void](b, `document.querySelectorAll("details").forEach(d => { d.open = true; })`)
		if bad := value[[]string](b, contrast); len(bad) > 0 {
			t.Errorf("dark %t: hard to read: %s", dark, bad)
		}
		if width := value[int](b, "document.documentElement.scrollWidth"); width > 1280 {
			t.Errorf("the page is %d px wide", width)
		}
		ground := value[string](b, "getComputedStyle(document.body).backgroundColor")
		grounds[ground] = true
		if light := ground == "rgb(255, 255, 255)"; light == dark {
			t.Errorf("dark %t: the ground is %s", dark, ground)
		}
		if bars := value[int](b, `[...document.querySelectorAll(".bar")].filter(r => r.getBoundingClientRect().height > 20).length`); bars != 1 {
			t.Errorf("%d bars are to be seen", bars)
		}
		b.picture(map[bool]string{false: "light", true: "dark"}[dark])
	}
	if len(grounds) != 2 {
		t.Error("light and dark look the same")
	}
	b.quiet()
}

// TestBrowserPhone: 360 px are enough, with every column there and nothing beside the screen.
func TestBrowserPhone(t *testing.T) {
	n := shop(time.Now())
	long := strings.Repeat("a-long-name-", 5) + "web"
	service(n, long, "statefulset/"+long)
	server := serve(t, reads(n))
	b := open(t)
	b.do(chromedp.EmulateViewport(360, 740, chromedp.EmulateMobile, chromedp.EmulateTouch), chromedp.Navigate(address(server)))
	value[chromedp.Void](b, `document.querySelectorAll("details").forEach(d => { d.open = true; })`)
	if width := value[int](b, "document.documentElement.scrollWidth"); width > 360 {
		t.Errorf("the page is %d px wide", width)
	}
	outside := value[[]string](b, `[...document.querySelectorAll("main *, header *, footer *")].filter(e => e.checkVisibility() && !e.closest(".hidden, thead"))
		.filter(e => { const r = e.getBoundingClientRect(); return r.width > 0 && (r.right > 360.5 || r.left < -0.5); }).map(e => e.outerHTML.slice(0, 80))`)
	if len(outside) > 0 {
		t.Errorf("beside the screen: %s", outside)
	}
	for _, name := range append([]string{"Namespace", "Replica-hours not run"}, columns...) {
		if shown := value[bool](b, fmt.Sprintf(`(() => { const c = document.querySelector('#services [data-name=%[1]q]');
			return c.checkVisibility() && getComputedStyle(c, "::before").content.includes(%[1]q); })()`, name)); !shown {
			t.Errorf("the column %s is not shown", name)
		}
	}
	small := value[[]string](b, `[...document.querySelectorAll("button, input, select, summary")].filter(e => e.checkVisibility() &&
		e.getBoundingClientRect().height < 24).map(e => e.outerHTML.slice(0, 80))`)
	if len(small) > 0 {
		t.Errorf("too small for a finger (WCAG 2.2 AA: 24 px): %s", small)
	}
	b.picture("phone")
	b.quiet()
}

// TestBrowserKeyboard: Tab reaches everything in the order in which it is read, and one sees where one is; Enter opens the reasons
// and asks for a filter.
func TestBrowserKeyboard(t *testing.T) {
	server := serve(t, reads(shop(time.Now())))
	b := open(t)
	b.do(chromedp.EmulateViewport(1280, 900), chromedp.Navigate(address(server)))
	where := `document.activeElement.id || document.activeElement.textContent.trim()`
	want := []string{
		"To the Services", "pause", "wakes-table-name", "q", "state", "Show", "why-name-shop/lost", "why-name-shop/report", "why-name-shop/report-admin",
		"why-name-shop/slow", "why-name-shop/web", "status.json",
	}
	for _, next := range want {
		b.do(chromedp.KeyEvent(kb.Tab))
		if got := value[string](b, where); got != next {
			t.Errorf("Tab leads to %q, want %q", got, next)
		}
		if seen := value[bool](b, `(() => { const e = document.activeElement, s = getComputedStyle(e);
			return e.matches(":focus-visible") && s.outlineStyle !== "none" && e.getBoundingClientRect().width > 1; })()`); !seen {
			t.Errorf("one does not see that %q has the focus", next)
		}
	}
	b.do(chromedp.Focus(chromedp.CSS("#q")), chromedp.KeyEvent("report"))
	if _, err := chromedp.RunResponse(b.ctx, chromedp.KeyEvent(kb.Enter)); err != nil {
		t.Fatal(err)
	}
	if caption := value[string](b, `document.querySelector("#services caption").textContent`); caption != "2 of 5 Services" {
		t.Errorf("after a filter: %s", caption)
	}
	value[chromedp.Void](b, `document.getElementById("why-name-shop/report").focus()`)
	b.do(chromedp.KeyEvent(kb.Enter))
	if open := value[bool](b, `document.getElementById("why-shop/report").open`); !open {
		t.Error("Enter does not open the reasons")
	}
	b.quiet()
}

// TestBrowserScreenReader: what a screen reader is told has a table with its name, its headers and a row for each Service, also on a
// phone, where it does not look like one.
func TestBrowserScreenReader(t *testing.T) {
	server := serve(t, reads(shop(time.Now())))
	for _, width := range []int64{1280, 360} {
		b := open(t)
		b.do(chromedp.EmulateViewport(width, 900), chromedp.Navigate(address(server)))
		tree, err := chromedp.Call(b.ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]int{}
		text := func(v *accessibility.Value) string {
			if v == nil {
				return ""
			}
			return strings.Trim(string(v.Value), `"`)
		}
		for _, node := range tree.Nodes {
			if !node.Ignored {
				found[text(node.Role)]++
				found[text(node.Role)+" "+text(node.Name)]++
			}
		}
		for what, n := range map[string]int{
			"table 5 of 5 Services": 1, "columnheader State": 1, "columnheader": 13, "rowheader web": 1, "rowheader": 5, "main": 1, "heading TPA status": 1,
			"cell Asleep": 2, "button Pause updates": 1, "searchbox Part of a name": 1, "combobox State": 1, "search Which Services to show": 1,
		} {
			if found[what] != n {
				t.Errorf("at %d px: %q %d times, want %d, of %v", width, what, found[what], n, found)
			}
		}
		b.quiet()
	}
}

// TestBrowserRenews: what changes is shown within seconds, with what was open still open and the focus where it was; not while the
// viewer has paused it; and a loss is said, and its end.
func TestBrowserRenews(t *testing.T) {
	now := time.Now()
	var mu sync.Mutex
	all := []*view.Namespace{shop(now)}
	source := &Source{Every: time.Millisecond, Read: func(context.Context) ([]*view.Namespace, error) {
		mu.Lock()
		defer mu.Unlock()
		return all, nil
	}}
	change := func(edit func(*view.Namespace)) {
		mu.Lock()
		defer mu.Unlock()
		n := shop(now)
		edit(n)
		all = []*view.Namespace{n}
	}
	server := serve(t, source)
	b := open(t)
	b.do(chromedp.EmulateViewport(1280, 900), chromedp.Navigate(address(server)))
	value[chromedp.Void](b, `(() => { const s = document.getElementById("why-name-shop/web"); s.focus(); s.click(); window.same = true; })()`)

	change(func(n *view.Namespace) { n.Pods = n.Pods[:1] }) // neither web nor slow has a pod
	b.until(`document.getElementById("row-shop/web").textContent.includes("Waking")`)
	if kept := value[bool](b, `window.same && document.getElementById("why-shop/web").open && document.activeElement.id === "why-name-shop/web"`); !kept {
		t.Error("the page was loaded anew, or the reasons were closed, or the focus was lost")
	}
	change(func(n *view.Namespace) { service(n, "zebra", "web") })
	b.until(`document.getElementById("row-shop/zebra")?.textContent.includes("Awake") === true`)
	if title := value[string](b, "document.title"); title != "TPA: 2 of 6 Services asleep" {
		t.Errorf("the title is %s", title)
	}
	if kept := value[bool](b, `document.getElementById("why-shop/web").open && document.activeElement.id === "why-name-shop/web"`); !kept {
		t.Error("with a new row the reasons were closed, or the focus was lost")
	}

	value[chromedp.Void](b, `document.getElementById("pause").click()`)
	change(func(*view.Namespace) {})
	time.Sleep(6 * time.Second) // longer than it takes to renew
	if still := value[bool](b, `document.getElementById("row-shop/zebra") !== null &&
		document.getElementById("pause").getAttribute("aria-pressed") === "true"`); !still {
		t.Error("it renews itself while it is paused")
	}
	value[chromedp.Void](b, `document.getElementById("pause").click()`)
	b.until(`document.getElementById("row-shop/zebra") === null`)
	b.quiet()

	server.Close()
	b.until(`document.getElementById("live").textContent.startsWith("No answer")`)
}

// TestBrowserHostile: what somebody has written stays text, also after the script has renewed it.
func TestBrowserHostile(t *testing.T) {
	n := shop(time.Now())
	service(n, hostile, hostile)
	server := serve(t, &Source{Every: time.Millisecond, Read: func(context.Context) ([]*view.Namespace, error) { return []*view.Namespace{n}, nil }})
	b := open(t)
	b.do(chromedp.Navigate(address(server)))
	value[chromedp.Void](b, `window.before = document.getElementById("when").textContent`)
	b.until(`document.getElementById("when").textContent !== window.before`)
	if bad := value[bool](b, `document.title.includes("broken into") || document.images.length > 0 || document.scripts.length !== 1`); bad {
		t.Error("what somebody wrote became a part of the page")
	}
	b.quiet()
}

// TestBrowserWithoutScript: the table is there, and says how to see a newer one.
func TestBrowserWithoutScript(t *testing.T) {
	server := serve(t, reads(shop(time.Now())))
	b := open(t)
	if _, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.EmulateViewport(1280, 900), chromedp.Navigate(address(server)))
	text, err := chromedp.Run(b.ctx, chromedp.Text(chromedp.CSS("body")))
	if err != nil {
		t.Fatal(err)
	}
	contains(t, text, "Reload the page", "5 of 5 Services", "deployment/web Awake 1/1", "report")
	if strings.Contains(text, "Pause updates") {
		t.Error("there is a button that does nothing")
	}
	b.quiet()
}
