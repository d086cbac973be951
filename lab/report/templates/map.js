// The map of Swayamdipta et al. 2020.
const places = gallery.map((i) => ({ i, x: columns.variability[i], y: columns.confidence[i], shade: columns.correctness[i] }));
drawPoints("points-map", page.points.map, places, page.points.map.description, "map-help");
