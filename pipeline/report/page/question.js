// One opened question: options, frames, time line, what base and policy thought.
const LETTERS = "ABCDE";
const NAMES = { base: "base", policy: "policy" };

function optionList(question) {
  const list = make("ol", { class: "options" });
  question.options.forEach((text, i) => {
    const who = make("span", { class: "who" });
    for (const side of Object.keys(NAMES))
      if (question[side]?.option === i) who.append(make("span", { class: `${side}-ink` }, `● ${side}`));
    const right = i === question.answer;
    list.append(make("li", { class: right ? "truth" : null },
      make("span", {}, LETTERS[i]),
      make("span", {}, text, right ? make("strong", { class: "truth-ink" }, "  ✓ right answer") : null), who));
  });
  return make("div", {}, list, make("small", {}, "● the answer given after reasoning"), likelihoods(question));
}

// Another prompt than that of the answers above, so it stands apart from them: the letter is scored without reasoning.
function likelihoods(question) {
  const sides = Object.keys(NAMES).filter((side) => question[side]?.probabilities);
  if (!sides.length) return null;
  const row = (side) => make("tr", {}, make("th", { class: `${side}-ink` }, side),
    ...question[side].probabilities.map((share) => make("td", { class: "number" }, `${(100 * share).toFixed(0)} %`)));
  return make("details", {}, make("summary", {}, "how likely each option is without reasoning (direct prompt)"),
    make("table", {}, make("thead", {}, make("tr", {}, make("th", {}, ""),
      ...question.options.map((_, i) => make("th", { class: "number" }, LETTERS[i])))),
    make("tbody", {}, ...sides.map(row))));
}

function frameStrip(strip, marks) {
  const count = strip.pts.length;
  const row = make("div", { class: "frames", tabindex: 0, role: "group", "aria-label": "frames the models saw" });
  strip.pts.forEach((pts, i) => {
    const picture = make("div", { class: "picture", role: "img", "aria-label": `frame at ${seconds(pts)}`, style: {
      aspectRatio: `${strip.width} / ${strip.height}`,
      backgroundImage: `url(data:image/jpeg;base64,${strip.jpeg})`,
      backgroundSize: `${100 * count}% 100%`,
      backgroundPosition: `${count > 1 ? (100 * i) / (count - 1) : 0}% 0`,
    } });
    const when = make("div", { class: "when" }, make("span", {}, seconds(pts)), marks(i));
    row.append(make("div", { class: "frame", "data-frame": i }, picture, when));
  });
  return row;
}

// Which frame lies nearest to a key time: both the marks under the frames and the links from the time line use it.
function nearest(pts, time) {
  let best = 0;
  pts.forEach((value, i) => { if (Math.abs(value - time) < Math.abs(pts[best] - time)) best = i; });
  return best;
}

function lanesOf(question) {
  const lanes = [];
  const named = (side) => (question[side] && question[side].keyframes) || [];
  if (question.truth) lanes.push(["truth", "true", question.truth]);
  lanes.push(["mined", "mined", question.mined.map((one) => one[0])]);
  lanes.push(["base", "base named", named("base")], ["policy", "policy named", named("policy")]);
  return lanes;
}

function timeLine(question, pts, focusFrame) {
  const place = (time) => `${Math.max(0, Math.min(100, (100 * time) / question.seconds))}%`;
  const lanes = make("div", { class: "lanes" });
  for (const [kind, label, times] of lanesOf(question)) {
    const rail = make("div", { class: "rail" });
    for (const time of pts) rail.append(make("span", { class: "tickmark", style: { left: place(time), color: "var(--line)" } }));
    for (const time of times)
      rail.append(make("button", { type: "button", class: "at", title: `${label} ${seconds(time)}`,
        "aria-label": `${label} keyframe at ${seconds(time)}`, style: { left: place(time) },
        onclick: () => focusFrame(time) }));
    const text = times.length ? label : `${label}: none`;
    lanes.append(make("div", { class: `lane ${kind} ${kind}-ink` }, make("span", {}, text), rail));
  }
  lanes.append(make("div", { class: "lane" }, make("span", {}), make("div", { class: "when" },
    `0 s to ${seconds(question.seconds)} of the clip; grey ticks are the frames`)));
  return lanes;
}

// The frames in their own time, up to twelve seconds; every lane has a head that moves along.
function player(question, pts, lanes, focusFrame) {
  if (pts.length < 2) return null;
  const heads = [...lanes.querySelectorAll(".rail")].map((rail) => {
    const head = make("span", { class: "playhead", "aria-hidden": "true", hidden: true });
    rail.append(head);
    return head;
  });
  const lasting = Math.min(question.seconds, 12) * 1000;
  let started = null, shown = -1;
  const stop = () => { started = null; shown = -1; button.textContent = "▶ Play"; heads.forEach((head) => { head.hidden = true; }); };
  const move = (now) => {
    if (started === null) return;
    const time = ((now - started) / lasting) * question.seconds;
    if (time >= question.seconds) return stop();
    heads.forEach((head) => { head.style.left = `${(100 * time) / question.seconds}%`; });
    const frame = nearest(pts, time);
    if (frame !== shown) { shown = frame; focusFrame(time); }
    requestAnimationFrame(move);
  };
  const button = make("button", { type: "button", class: "play", onclick: () => {
    if (started !== null) return stop();
    started = performance.now();
    button.textContent = "■ Stop";
    heads.forEach((head) => { head.hidden = false; });
    requestAnimationFrame(move);
  } }, "▶ Play");
  return button;
}

// The file itself lies beside the page, where it has not been moved: the browser's own player opens it at the clip.
function original(question) {
  if (!question.href) return null;
  const span = `#t=${question.start},${(question.start + question.seconds).toFixed(3)}`;
  return make("a", { href: question.href + span, target: "_blank", rel: "noopener" }, "watch the original");
}

function verdict(question, given) {
  if (given.option === null) return `no answer (${given.outcome})`;
  const letter = `answers ${LETTERS[given.option]}`;
  if (question.answer === null) return letter;
  return given.option === question.answer ? `${letter} ✓ right` : `${letter} ✗ wrong`;
}

function side(question, name) {
  const given = question[name];
  const body = given
    ? [make("pre", {}, given.completion || "(empty completion)")]
    : [make("p", { class: "soft" }, "no prediction of this model for this question")];
  const head = given ? `${NAMES[name]} ${verdict(question, given)}` : NAMES[name];
  return make("div", { class: `side ${name}-ink` }, make("h4", {}, head), ...body);
}

function otherAnswers(question) {
  if (!question.others.length) return null;
  const rows = question.others.map(([label, base, policy]) =>
    make("tr", {}, make("td", {}, label), make("td", {}, base), make("td", {}, policy)));
  return make("details", {}, make("summary", {}, "controls and other prompts"),
    make("table", {}, make("thead", {}, make("tr", {}, make("th", {}, "asked how"), make("th", {}, "base"), make("th", {}, "policy"))),
      make("tbody", {}, ...rows)));
}

function questionBody(question, strip) {
  const marked = new Map();
  const pts = strip ? strip.pts : [];
  for (const [kind, label, times] of lanesOf(question))
    for (const time of times) {
      const i = nearest(pts, time);
      if (!marked.has(i)) marked.set(i, new Map());
      marked.get(i).set(label, kind);
    }
  const marks = (i) => make("span", {}, ...[...(marked.get(i) || [])].map(([label, kind]) =>
    make("span", { class: `${kind}-ink`, title: label }, { truth: "◆", mined: "■", base: "●", policy: "●" }[kind])));
  const frames = strip
    ? frameStrip(strip, marks)
    : make("p", { class: "soft" }, question.frames_note);
  const focusFrame = (time) => {
    for (const frame of frames.querySelectorAll(".frame")) frame.classList.remove("hot");
    const frame = frames.querySelector(`[data-frame="${nearest(pts, time)}"]`);
    if (!frame) return;
    frame.classList.add("hot");
    frame.scrollIntoView({ block: "nearest", inline: "center" });
  };
  const origin = `${question.id} · video ${question.video} from ${seconds(question.start)} · ${question.source}` +
    `${question.family ? ` · ${question.family}` : ""} · ${question.split}`;
  const lanes = timeLine(question, pts, focusFrame);
  return make("div", { class: "body" }, optionList(question), frames,
    make("div", { class: "watch" }, player(question, pts, lanes, focusFrame), original(question)), lanes,
    make("div", { class: "sides" }, side(question, "base"), side(question, "policy")), otherAnswers(question),
    make("small", {}, origin));
}
