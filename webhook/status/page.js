// Renews the page every 5 s while it is looked at: fetches it anew, and takes over what differs. What is open stays open, and
// the focus stays where it is.
const every = 5000;
const patience = 15000;
const button = document.getElementById("pause");
const live = document.getElementById("live");
let paused = false;
let timer;

// take puts a part of the new page in the place of the old one, unless they are the same.
function take(before, after) {
  for (const details of after.querySelectorAll("details[id]")) {
    details.open = document.getElementById(details.id)?.open ?? false;
  }
  if (!before.isEqualNode(after)) before.replaceWith(document.adoptNode(after));
}

// rows takes over row by row, if both tables have the same; it reports whether they have.
function rows(before, after) {
  const old = [...before.querySelectorAll("table.services > tbody > tr")];
  const fresh = [...after.querySelectorAll("table.services > tbody > tr")];
  if (old.length === 0 || old.length !== fresh.length || old.some((row, i) => row.id !== fresh[i].id)) return false;
  old.forEach((row, i) => take(row, fresh[i]));
  take(before.querySelector("caption"), after.querySelector("caption"));
  return true;
}

function renewWith(page) {
  const focus = document.activeElement?.id;
  document.title = page.title;
  for (const id of ["when", "problem", "summary", "wakes"]) take(document.getElementById(id), page.getElementById(id));
  const before = document.getElementById("services");
  const after = page.getElementById("services");
  if (!rows(before, after)) take(before, after);
  if (focus && document.activeElement?.id !== focus) document.getElementById(focus)?.focus({preventScroll: true});
}

async function renew() {
  try {
    const answer = await fetch(location.href, {cache: "no-store", signal: AbortSignal.timeout(patience)});
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (!page.getElementById("services")) throw new Error(answer.statusText);
    if (!paused) renewWith(page);
    say("");
  } catch {
    say("No answer: what is shown may be out of date.");
  }
  schedule();
}

// say tells readers of the screen, too; only what is new.
function say(text) {
  if (live.textContent !== text) live.textContent = text;
}

function schedule() {
  clearTimeout(timer);
  if (!paused && !document.hidden) timer = setTimeout(renew, every);
}

button.hidden = false;
button.addEventListener("click", () => {
  paused = !paused;
  button.setAttribute("aria-pressed", String(paused));
  clearTimeout(timer);
  if (!paused) renew();
});
document.addEventListener("visibilitychange", () => {
  clearTimeout(timer);
  if (!paused && !document.hidden) renew();
});
schedule();
