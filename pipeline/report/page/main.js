// Let the browser paint what the page already holds before anything is built.
setUpTheme();
requestAnimationFrame(() => setTimeout(async () => {
  setUpCharts();
  await setUpGallery();
  document.documentElement.dataset.ready = "yes";
}));
