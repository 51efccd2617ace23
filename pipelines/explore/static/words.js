// What the page says, in English and in Chinese.

const WORDS = {
  en: {
    language: "中文",
    label: "Label",
    explore: "Explore",
    help: "Keys",
    reasons: "Kept, or dropped for",
    all: "all",
    kept: "kept",
    filter: "Filter (SQL, as in a rule)",
    sort: "Sort by",
    unsorted: "as stored",
    way: "Other way round",
    find: "Find",
    columns: "Columns",
    threshold: "Move a threshold",
    measure: "Rule or measure",
    rules: "rules",
    measures: "measures",
    "keeps-if": "Keeps if",
    reset: "As it is",
    previous: "Previous",
    next: "Next",
    question: "Does the text say what the picture shows?",
    agreement: "Agreement",
    match: "match",
    no_match: "no match",
    unsure: "unsure",
    totals: (kept, all) => `${kept} of ${all} samples kept`,
    matched: (number, kept, share) => `${number} samples, ${kept} kept (${share})`,
    milliseconds: (time) => `${time} ms`,
    page: (page, pages) => `${page} / ${pages}`,
    "no-image": "no stored copy",
    outcome: (keeps, all, share) => [`keeps ${keeps}`, ` of ${all} (${share})`],
    now: (kept, share) => `; now ${kept} (${share})`,
    falling: (number) => `${number} would fall`,
    returning: (number) => `${number} would come back`,
    "returning-not": "Only a rule can give back what it dropped: choose one above.",
    "exactly-rule": "By the chosen text's value, and of those that failed no other rule of that stage; later rules and groups are not judged again here. Exactly, and in seconds:",
    "exactly-measure": "Of what is kept now. As a rule of the recipe:",
    "bar-kept": "kept",
    "bar-fell": "dropped for this rule alone",
    "bar-other": "dropped otherwise",
    texts: "Texts",
    measured: "Measures",
    facts: "Facts",
    failed: "Failed rules",
    group: "Same group, or alike",
    dropped: (reason, stage) => `dropped${stage ? ` at ${stage}` : ""}: ${reason}`,
    close: "Close",
    caption: "caption",
    stands: "stands",
    progress: (done, all) => `${done} of ${all} answered`,
    "all-done": "All are answered.",
    "no-tasks": "Nothing to label: no sample with a text is found.",
    "task-number": (number, all) => `${number} / ${all}`,
    annotator: "annotator",
    answers: "answers",
    pair: "between",
    common: "in common",
    equal: "equal",
    kappa: "kappa",
    "kappa-note": "Kappa: Cohen's between two, Fleiss' among all; 0 is chance, 1 is full agreement.",
    "one-annotator": "There are no answers of another annotator yet.",
    "help-title": "Keys",
    "help-rows": [
      ["/", "to the filter"], ["↵", "find; open a sample"], ["← → ↑ ↓", "from sample to sample"],
      ["n  p", "next and previous page"], ["t", "to the threshold"], ["Esc", "close"],
      ["l", "label, or back"], ["1  2  3", "match, no match, unsure; again takes it back"], ["← →", "from task to task"],
    ],
  },
  zh: {
    language: "English",
    label: "标注",
    explore: "浏览",
    help: "按键",
    reasons: "保留，或丢弃原因",
    all: "全部",
    kept: "保留",
    filter: "筛选（SQL，写法同规则）",
    sort: "排序",
    unsorted: "存储顺序",
    way: "反向",
    find: "查找",
    columns: "列",
    threshold: "移动阈值",
    measure: "规则或度量",
    rules: "规则",
    measures: "度量",
    "keeps-if": "保留条件",
    reset: "还原",
    previous: "上一个",
    next: "下一个",
    question: "文字说的是图中的内容吗？",
    agreement: "一致性",
    match: "匹配",
    no_match: "不匹配",
    unsure: "不确定",
    totals: (kept, all) => `${all} 个样本中保留 ${kept} 个`,
    matched: (number, kept, share) => `${number} 个样本，保留 ${kept} 个（${share}）`,
    milliseconds: (time) => `${time} 毫秒`,
    page: (page, pages) => `${page} / ${pages}`,
    "no-image": "没有存储的图片",
    outcome: (keeps, all, share) => [`保留 ${keeps}`, ` / ${all}（${share}）`],
    now: (kept, share) => `；现在 ${kept}（${share}）`,
    falling: (number) => `${number} 个将被丢弃`,
    returning: (number) => `${number} 个将被找回`,
    "returning-not": "只有规则才能找回它丢弃的样本：请在上面选一条规则。",
    "exactly-rule": "按所选文字的值，且只算在该阶段没有违反其他规则的样本；之后的规则和分组在这里不重新判断。几秒内得到准确结果：",
    "exactly-measure": "在现在保留的样本中。写成配方中的规则：",
    "bar-kept": "保留",
    "bar-fell": "仅因此规则被丢弃",
    "bar-other": "因其他原因被丢弃",
    texts: "文字",
    measured: "度量",
    facts: "信息",
    failed: "违反的规则",
    group: "同组或相似",
    dropped: (reason, stage) => `${stage ? `在 ${stage} ` : ""}丢弃：${reason}`,
    close: "关闭",
    caption: "说明文字",
    stands: "有效",
    progress: (done, all) => `已标注 ${done} / ${all}`,
    "all-done": "全部标注完毕。",
    "no-tasks": "没有可标注的：没有找到带文字的样本。",
    "task-number": (number, all) => `${number} / ${all}`,
    annotator: "标注者",
    answers: "答案",
    pair: "之间",
    common: "共同标注",
    equal: "相同",
    kappa: "kappa",
    "kappa-note": "Kappa：两人为 Cohen，多人为 Fleiss；0 为偶然，1 为完全一致。",
    "one-annotator": "还没有其他标注者的答案。",
    "help-title": "按键",
    "help-rows": [
      ["/", "到筛选框"], ["↵", "查找；打开样本"], ["← → ↑ ↓", "在样本间移动"],
      ["n  p", "下一页、上一页"], ["t", "到阈值"], ["Esc", "关闭"],
      ["l", "标注或返回"], ["1  2  3", "匹配、不匹配、不确定；再按一次撤回"], ["← →", "在任务间移动"],
    ],
  },
};

let language = navigator.language.startsWith("zh") ? "zh" : "en";
try {
  language = localStorage.getItem("language") ?? language;
} catch {
  // A browser that keeps nothing: its own language serves.
}
if (!(language in WORDS)) language = "en";

/** A word or, with what belongs into it, a sentence. */
export function say(name, ...given) {
  const word = WORDS[language][name];
  return typeof word === "function" ? word(...given) : word;
}

export function otherLanguage() {
  language = language === "en" ? "zh" : "en";
  try {
    localStorage.setItem("language", language);
  } catch {
    // It holds for this page alone.
  }
}

/** Fill every element that names a word. */
export function sayAll() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const element of document.querySelectorAll("[data-word]")) element.textContent = say(element.dataset.word);
  for (const element of document.querySelectorAll("[data-title]")) {
    element.title = say(element.dataset.title);
    element.setAttribute("aria-label", element.title);
  }
}
