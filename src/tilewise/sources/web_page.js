// What is done inside a page before its picture is taken. Called from web.py by name; every
// function must work on any page, whatever that page has done to itself.
(() => {
  const root = () => document.scrollingElement || document.documentElement;

  const visible = (node) => {
    const box = node.getBoundingClientRect();
    const style = getComputedStyle(node);
    return box.width > 0 && box.height > 0 && style.visibility !== "hidden" &&
      style.display !== "none" && style.opacity !== "0";
  };

  const hide = (node) => node.style.setProperty("display", "none", "important");

  // Containers of widely used consent tools, by the ids and classes they give themselves.
  const CONSENT = [
    "#onetrust-consent-sdk", "#CybotCookiebotDialog", "#CybotCookiebotDialogBodyUnderlay",
    "#usercentrics-root", "#usercentrics-cmp-ui", "#didomi-host", ".qc-cmp2-container",
    "[id^='sp_message_container']", "#truste-consent-track", ".truste_overlay",
    ".truste_box_overlay", ".cc-window", ".cc-banner", "#cookie-law-info-bar",
    ".cky-consent-container", ".cky-overlay", ".fc-consent-root", ".osano-cm-window",
    "#termly-code-snippet-support", ".cookiefirst-root", "#iubenda-cs-banner", "#klaro .klaro",
    "#cmpbox", "#cmpbox2", "#cmpwrapper", "#axeptio_overlay", "#hs-eu-cookie-confirmation",
    "#BorlabsCookieBox", "#tarteaucitronRoot", "#cookiescript_injected", "#cc--main", "#cc-main",
    ".cmplz-cookiebanner", "#gdpr-cookie-message", "#moove_gdpr_cookie_info_bar",
    "#ppms_cm_popup_wrapper", "#cookie-notice", "#cookieConsent", "#cookie-consent", "#cookie-banner",
  ].join(",");
  const WORDS = /cookie|consent|gdpr|dsgvo|rgpd|ccpa|einwilligung|privacy (policy|preferences|settings|choices)|your privacy|datenschutz/i;
  const MAX_BANNER_TEXT = 3000;

  const floats = (style) => style.position === "fixed" || style.position === "sticky";

  // A banner says so in its id, class, label or text, holds something to press, and lies on top of
  // the page: fixed, sticky at the window's bottom, or a dialog.
  const isBanner = (node, style) => {
    const role = node.getAttribute("role") || "";
    const isDialog = /dialog/.test(role) || node.getAttribute("aria-modal") === "true" ||
      node.tagName === "DIALOG";
    if (style.position !== "fixed" && !isDialog &&
      !(style.position === "sticky" && style.bottom !== "auto")) return false;
    const text = node.innerText || "";
    if (text.length > MAX_BANNER_TEXT) return false;
    if (!node.querySelector("button, a, [role=button], input, iframe")) return false;
    const label = `${node.id} ${node.className} ${node.getAttribute("aria-label") || ""}`;
    if (/cookie|consent|gdpr|cmp-/i.test(label)) return true;
    // a header may link to a privacy policy; what lies at the very top of a page must say "cookie"
    const isAtTop = node.getBoundingClientRect().top <= 0 && !isDialog;
    return isAtTop ? /cookie/i.test(text) && !node.querySelector("nav") : WORDS.test(text);
  };

  // What dims the page behind a banner: fixed, over the whole window, and without words.
  const isVeil = (node, style) => {
    const box = node.getBoundingClientRect();
    return style.position === "fixed" && !(node.innerText || "").trim() &&
      !node.querySelector("img, video, canvas, svg") && parseInt(style.zIndex, 10) > 0 &&
      box.width >= innerWidth * 0.95 && box.height >= innerHeight * 0.95;
  };

  return {
    // [width, height] of the document in CSS pixels
    size: () => {
      const body = document.body;
      return [
        Math.max(root().scrollWidth, innerWidth),
        Math.max(root().scrollHeight, body ? body.scrollHeight : 0, 1),
      ];
    },

    scrollTo: (top) => scrollTo({ left: 0, top, behavior: "instant" }),

    // pictures that wait to be seen are asked for at once
    wake: () => {
      for (const node of document.querySelectorAll("[loading=lazy]")) node.loading = "eager";
    },

    isReady: () =>
      document.fonts.status === "loaded" && [...document.images].every((image) => image.complete),

    // a page that scrolls inside itself is laid out whole
    unfold: () => {
      const page = root();
      if (page.scrollHeight > innerHeight * 1.05) return false;
      let best = null;
      for (const node of document.querySelectorAll("body, body *")) {
        if (node === page || node.scrollHeight < innerHeight * 1.2) continue;
        if (node.clientHeight < innerHeight * 0.5 || node.clientWidth < innerWidth * 0.5) continue;
        if (!/auto|scroll/.test(getComputedStyle(node).overflowY)) continue;
        if (!best || node.scrollHeight > best.scrollHeight) best = node;
      }
      for (let node = best; node; node = node.parentElement) {
        for (const [name, value] of [
          ["height", "auto"], ["max-height", "none"], ["overflow", "visible"],
        ]) node.style.setProperty(name, value, "important");
        if (getComputedStyle(node).position === "fixed")
          node.style.setProperty("position", "absolute", "important");
      }
      return best !== null;
    },

    // consent banners and what dims the page behind them; returns how many
    hideBanners: () => {
      let count = 0;
      for (const node of document.querySelectorAll(CONSENT)) { hide(node); count += 1; }
      for (const node of document.querySelectorAll("body *")) {
        const style = getComputedStyle(node);
        if (style.display !== "none" && isBanner(node, style)) { hide(node); count += 1; }
      }
      if (!count) return 0;
      for (const node of document.querySelectorAll("body *"))
        if (isVeil(node, getComputedStyle(node))) hide(node);
      for (const node of [document.documentElement, document.body]) {
        if (!node) continue;
        const style = getComputedStyle(node);
        if (/hidden|clip/.test(style.overflowY)) {
          node.style.setProperty("overflow", "visible", "important");
          node.style.setProperty("height", "auto", "important");
        }
        if (style.position === "fixed") node.style.setProperty("position", "static", "important");
      }
      return count;
    },

    // What follows the window is laid down once: sticky parts in their place in the text, fixed ones
    // where they stand at the top of the page, or at its end if they hang from the window's bottom.
    settle: () => {
      const fixed = [];
      for (const node of document.querySelectorAll("body, body *")) {
        const style = getComputedStyle(node);
        if (!floats(style)) continue;
        if (style.position === "sticky") {
          node.style.setProperty("position", "relative", "important");
          node.style.setProperty("inset", "auto", "important");
        } else if (visible(node)) {
          fixed.push([node, node.getBoundingClientRect(), style.bottom, style.top]);
        }
      }
      const end = root().scrollHeight;
      for (const [node, box] of fixed) {
        // what waits beside the window, such as a menu that slides in, is not seen
        if (box.right <= 0 || box.left >= innerWidth || box.bottom <= 0 || box.top >= innerHeight) {
          hide(node);
          continue;
        }
        const hangs = box.top > innerHeight / 2 && box.bottom > innerHeight * 0.8;
        const top = hangs ? end - (innerHeight - box.top) : box.top + scrollY;
        const set = (name, value) => node.style.setProperty(name, value, "important");
        set("transition", "none");  // else it would be measured on its way
        set("position", "absolute");
        set("width", `${box.width}px`);
        set("height", `${box.height}px`);
        set("box-sizing", "border-box");
        set("inset", "auto");
        set("margin", "0");
        set("transform", "none");
        set("left", "0");
        set("top", "0");
        const now = node.getBoundingClientRect();
        set("left", `${box.left - now.left}px`);
        set("top", `${top - (now.top + scrollY)}px`);
      }
      return fixed.length;
    },

    // whether the page asks for a password before anything else
    wantsLogin: () => {
      const field = [...document.querySelectorAll("input[type=password]")].find(visible);
      return Boolean(field) && (document.body.innerText || "").length < 4000;
    },
  };
})()
